"""The smallest timers that break at most so many sessions, the curve between both, and overrides worth having.

Each timer is swept alone. A session that two timers would break is counted for both, so that the sum is an upper
bound (the union bound); entries are saved by each timer apart. The best combinations for every number of broken
sessions lie on the lower convex hull and are found with one multiplier (H. Everett, "Generalized Lagrange multiplier
method", Operations Research 11, 1963); what is recommended is then run as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Curve:
    """One timer swept alone, from short to long.

    Attributes:
        name: The timer.
        values_ns: Its values.
        broken: Sessions that it breaks beyond what the longest value does, at most, by group; shape (G, J).
        entries: Mean entries, by group, shape (G, J).
        settles: Entries by Little's law, all groups, shape (J,).
        per_app: Whether the product can set it for one application.
    """

    name: str
    values_ns: tuple[int, ...]
    broken: NDArray[np.int64]
    entries: NDArray[np.float64]
    settles: NDArray[np.float64]
    per_app: bool


@dataclass(frozen=True, slots=True)
class Point:
    """One combination: values by timer, sessions broken (at most), and entries saved against the longest timers."""

    values_ns: dict[str, int]
    broken: int
    saved: float


@dataclass(frozen=True, slots=True)
class Gain:
    """An override worth having.

    Attributes:
        timer: The timer.
        group: The application.
        value_ns: Its own value.
        others_ns: What the timer can then be for all others.
        saved: Mean entries saved against one value for all.
        broken: Sessions that break then, at most.
    """

    timer: str
    group: str
    value_ns: int
    others_ns: int
    saved: float
    broken: int


def pareto(curves: Sequence[Curve]) -> list[Point]:
    """Return the best combinations, from no broken session to the fewest entries."""
    costs = [curve.broken.sum(axis=0).astype(np.float64) for curve in curves]
    gains = [curve.settles for curve in curves]
    multipliers = _multipliers(costs, gains)
    points: dict[tuple[int, ...], Point] = {}
    for multiplier in multipliers:
        chosen = tuple(
            int(np.argmin(gain + multiplier * cost)) for cost, gain in zip(costs, gains, strict=True)
        )
        values = {curve.name: curve.values_ns[j] for curve, j in zip(curves, chosen, strict=True)}
        broken = sum(int(cost[j]) for cost, j in zip(costs, chosen, strict=True))
        saved = sum(float(gain[-1] - gain[j]) for gain, j in zip(gains, chosen, strict=True))
        points[chosen] = Point(values, broken, saved)
    return sorted(points.values(), key=lambda point: (point.broken, -point.saved))


def _multipliers(costs: list[NDArray[np.float64]], gains: list[NDArray[np.float64]]) -> list[float]:
    """Return multipliers between all slopes at which a choice changes: those of the curves' convex hulls."""
    slopes = set()
    for cost, gain in zip(costs, gains, strict=True):
        hull = _hull(cost, gain)
        for a, b in pairwise(hull):
            if cost[a] != cost[b]:
                slopes.add(abs((gain[a] - gain[b]) / (cost[a] - cost[b])))
    ordered = sorted(slopes)
    middles = [(a + b) / 2 for a, b in pairwise(ordered)]
    top = ordered[-1] * 2 + 1 if ordered else 1.0
    return [0.0, *((ordered[0] / 2,) if ordered else ()), *middles, top, 1e18]


def _hull(cost: NDArray[np.float64], gain: NDArray[np.float64]) -> list[int]:
    order = np.lexsort((gain, cost)).tolist()
    hull: list[int] = []
    for i in order:
        if hull and gain[i] >= gain[hull[-1]]:
            continue
        while len(hull) >= 2:
            a, b = hull[-2], hull[-1]
            if (gain[b] - gain[a]) * (cost[i] - cost[a]) >= (gain[i] - gain[a]) * (cost[b] - cost[a]):
                hull.pop()
            else:
                break
        hull.append(i)
    return hull


def best_within(curves: Sequence[Curve], most: int) -> Point:
    """Return the combination that breaks at most so many sessions and saves most.

    It starts on the curve and then shortens one timer after the other as far as the rest of the budget goes.
    """
    start = [point for point in pareto(curves) if point.broken <= most][-1:]
    values = start[0].values_ns if start else {curve.name: curve.values_ns[-1] for curve in curves}
    places = {curve.name: curve.values_ns.index(values[curve.name]) for curve in curves}
    costs = {curve.name: curve.broken.sum(axis=0) for curve in curves}
    for curve in sorted(curves, key=lambda c: -float(c.settles[places[c.name]])):
        spent = sum(int(costs[name][j]) for name, j in places.items() if name != curve.name)
        places[curve.name] = shortest(costs[curve.name], most - spent)
    broken = sum(int(costs[name][j]) for name, j in places.items())
    saved = sum(float(curve.settles[-1] - curve.settles[places[curve.name]]) for curve in curves)
    return Point({curve.name: curve.values_ns[places[curve.name]] for curve in curves}, broken, saved)


def shortest(broken: NDArray[np.int64], most: int) -> int:
    """Return the place of the shortest value that breaks at most so many; the longest if none does."""
    fits = np.flatnonzero(broken <= most)
    return int(fits[0]) if len(fits) else len(broken) - 1


def overrides(curve: Curve, groups: Sequence[str], most: int, best: int = 3) -> list[Gain]:
    """Return the applications for which a value of their own saves most entries.

    Args:
        curve: A timer that can be set for applications.
        groups: Their names; `others` is none.
        most: Sessions that may break, in all.
        best: Overrides to return.
    """
    if not curve.per_app:
        return []
    total, entries = curve.broken.sum(axis=0), curve.entries.sum(axis=0)
    plain = shortest(total, most)
    gains = []
    for g, name in enumerate(groups):
        if name == "others" or not curve.broken[g].any():
            continue
        rest = total - curve.broken[g]
        # Its own value breaks nothing of it, as far as any value does; all the budget is for the others.
        own = shortest(curve.broken[g], int(curve.broken[g][-1]))
        others = shortest(rest, most - int(curve.broken[g][own]))
        if others >= plain:
            continue
        with_it = float(entries[others] - curve.entries[g][others] + curve.entries[g][own])
        gains.append(
            Gain(
                curve.name, name, curve.values_ns[own], curve.values_ns[others],
                float(entries[plain]) - with_it, int(rest[others] + curve.broken[g][own]),
            )
        )  # fmt: skip
    worth = [gain for gain in gains if gain.saved > 0.01 * float(entries[plain])]
    return sorted(worth, key=lambda gain: -gain.saved)[:best]
