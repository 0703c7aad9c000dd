from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from lastack.replay.recommend import Curve, best_within, overrides, pareto


def _curve(name: str, broken: list[int], entries: list[float], per_app: bool = False) -> Curve:
    values = tuple((i + 1) * 10**9 for i in range(len(broken)))
    costs, gains = np.array([broken]), np.array([entries])
    return Curve(name, values, costs, gains, gains[0], per_app)


falling = st.lists(st.integers(0, 9), min_size=4, max_size=4).map(
    lambda v: sorted(np.cumsum(v).tolist(), reverse=True)
)
rising = st.lists(st.integers(1, 50), min_size=4, max_size=4).map(lambda v: [float(x) for x in np.cumsum(v)])


def _to_zero(broken: list[int]) -> list[int]:
    return [n - broken[-1] for n in broken]


@given(falling, rising, falling, rising, st.integers(0, 40))
def test_best__keeps_the_budget_and_no_value_can_be_shortened(
    b1: list[int], e1: list[float], b2: list[int], e2: list[float], most: int
) -> None:
    curves = [_curve("a", _to_zero(b1), e1), _curve("b", _to_zero(b2), e2)]
    point = best_within(curves, most)
    assert point.broken <= most
    for curve in curves:
        place = curve.values_ns.index(point.values_ns[curve.name])
        if place:
            more = int(curve.broken[0, place - 1] - curve.broken[0, place])
            assert more == 0 or point.broken + more > most


@given(falling, rising, falling, rising)
def test_pareto__no_combination_is_better_in_both(
    b1: list[int], e1: list[float], b2: list[int], e2: list[float]
) -> None:
    curves = [_curve("a", _to_zero(b1), e1), _curve("b", _to_zero(b2), e2)]
    points = pareto(curves)
    every = [
        (
            sum(int(c.broken[0, j]) for c, j in zip(curves, js, strict=True)),
            sum(float(c.settles[-1] - c.settles[j]) for c, j in zip(curves, js, strict=True)),
        )
        for js in itertools.product(range(4), repeat=2)
    ]
    for point in points:
        assert not any(b <= point.broken and s > point.saved + 1e-6 for b, s in every)
    assert points[0].broken == 0


def test_overrides__one_slow_application_need_not_slow_all() -> None:
    broken = np.array([[0, 0, 0], [9, 5, 0]])
    entries = np.array([[10.0, 100.0, 1000.0], [1.0, 2.0, 3.0]])
    curve = Curve("half_closed", (10**9, 10**10, 10**11), broken, entries, entries.sum(axis=0), True)
    (gain,) = overrides(curve, ("web", "ssh"), 0)
    assert (gain.group, gain.value_ns, gain.others_ns, gain.saved) == ("ssh", 10**11, 10**9, 990.0)
