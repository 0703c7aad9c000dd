"""Changes between two periods: real ones are found and ranked, noise is not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastack.query.compare import Compared, Counts, change_of, changes, ratio_interval, standing_out, wilson
from lastack.query.measure_text import parse_measures
from lastack.query.questions import Grouped, GroupedAnswer, GroupedRow


def item(before: int, before_base: float, after: int, after_base: float, name: str = "x") -> Compared:
    return Compared(
        "refused", "attempts", ("server.ip",), (name,), Counts(before, before_base, after, after_base)
    )


@given(st.integers(1, 2000), st.floats(0, 1), st.floats(0.5, 5))
def test_wilson__ends_are_where_the_score_test_turns(total: int, share: float, z: float) -> None:
    part = round(share * total)
    for end, trivial in zip(wilson(part, total, z), (0.0, 1.0), strict=True):
        if end != trivial:
            score = abs(part / total - end) / math.sqrt(end * (1 - end) / total)
            assert score == pytest.approx(z, rel=1e-6)


def test_interval__widens_to_everything_without_events() -> None:
    assert ratio_interval(Counts(0, 10, 0, 10), 2) == (0, math.inf)


def test_interval__takes_the_bases_into_account() -> None:
    low, high = ratio_interval(Counts(100, 1000, 200, 2000), 2)
    assert low < 1 < high
    assert change_of(item(100, 1000, 200, 1000), 2) is not None


def test_same_rates__give_no_change_but_for_one_list_in_twenty() -> None:
    rng = np.random.default_rng(11)
    lists = 0
    for _ in range(60):
        rates = rng.lognormal(2, 2, 300)
        counts = [
            item(int(a), 1000, int(b), 3000)
            for a, b in zip(rng.poisson(rates), rng.poisson(3 * rates), strict=True)
        ]
        lists += bool(changes(counts))
    assert (
        lists <= 60 * 0.05 * 3
    )  # Wilson's interval is slightly short for small counts; thrice is far from noise


def test_rank__is_by_sessions_not_by_ratio() -> None:
    found = changes(
        [item(0, 100, 20, 100, "small"), item(10_000, 10**6, 13_000, 10**6, "large"), item(3, 9, 4, 9)]
    )
    assert [change.compared.group for change in found] == [("large",), ("small",)]
    assert found[1].ratio == math.inf
    assert 0 < found[0].sessions < 3000
    assert found[0].low < 1.3 < found[0].high


def test_fewer__is_negative() -> None:
    (found,) = changes([item(500, 1000, 10, 1000)])
    assert found.sessions < -300
    assert found.ratio == pytest.approx(0.02)


def test_no_base__is_not_compared() -> None:
    assert changes([item(0, 0, 50, 100)]) == []


def test_standing_out__is_what_the_others_do_not_explain() -> None:
    numbers = {"large": (100, 10_000), "small": (1, 100), "sick": (60, 600), "lucky": (3, 4)}
    listed = [GroupedRow((name,), {"harmed": n, "sessions": of}) for name, (n, of) in numbers.items()]
    total = {"harmed": 164, "sessions": 10_704}
    answer = GroupedAnswer(Grouped(parse_measures("harmed,sessions")), listed, total=GroupedRow((), total))
    assert standing_out(answer, "harmed", "sessions")[0] == ("sick",)
    assert ("large",) not in standing_out(answer, "harmed", "sessions")
