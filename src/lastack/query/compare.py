"""What changed between two periods: each count against what the other period's rate would have made of it.

A count is taken as Poisson at a rate over its base (attempts, sessions, or seconds). Given both counts, the
second one is then binomial, which turns the ratio of two rates into one proportion (Przyborowski and
Wilenski, Biometrika 31, 1940); its interval is Wilson's score interval (J. Am. Stat. Assoc. 22, 1927), which
holds for small counts too. The confidence is 95 % for the whole list: each comparison is held to 5 % divided
by their number (Bonferroni), and those of fewer than ten events, which hardly ever pass, are not made
(Tarone, Biometrics 46, 1990: the choice looks at the sum of both periods only, which says nothing of their
ratio). For shares near 100 % the Poisson interval is wider than it need be, so a change is listed late rather
than wrongly. Traffic that comes in bursts varies more than Poisson: a listed change is one of these two
periods, not yet of the habit behind them.

What is ranked is not the ratio, which is largest where there is least, but the sessions that the change
surely means: how many more (or fewer) there are than the other period's rate explains, at the end of the
interval that is nearest to none.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

from lastack.query.questions import GroupedAnswer

_ERROR = 0.05
#: Fewer events than this in both periods together prove nothing at any ratio.
LEAST_EVENTS = 10
#: The base of a count that has no other: the length of the period.
SECOND = "second"


@dataclass(frozen=True, slots=True)
class Counts:
    """A count and what it is a rate over, in two periods; a base is above 0 where its count is."""

    before: int
    before_base: float
    after: int
    after_base: float


@dataclass(frozen=True, slots=True)
class Compared:
    """One thing that was counted in both periods.

    Attributes:
        what: Name of the count.
        base: Name of its base: a count, or `second`.
        keys: Names of the keys, none for everything.
        group: Their values.
        counts: The numbers.
    """

    what: str
    base: str
    keys: tuple[str, ...]
    group: tuple[Any, ...]
    counts: Counts


@dataclass(frozen=True, slots=True)
class Change:
    """Something that changed by more than chance explains.

    Attributes:
        compared: What was counted.
        ratio: Rate after by rate before; infinite if there was none.
        low: Lower end of its interval.
        high: Upper end.
        sessions: Sessions that the change means at least: more than before, or fewer if negative.
    """

    compared: Compared
    ratio: float
    low: float
    high: float
    sessions: float


@dataclass(slots=True)
class Comparison:
    """What came of comparing two periods.

    Attributes:
        before: Name of the first.
        after: Name of the second.
        seconds: Lengths of both.
        summary: Measures of both as a whole.
        changes: What changed, ranked.
        tried: Comparisons made.
        notes: What the reader must know.
    """

    before: str
    after: str
    seconds: tuple[float, float]
    summary: tuple[GroupedAnswer, GroupedAnswer]
    changes: list[Change] = field(default_factory=list)
    tried: int = 0
    notes: list[str] = field(default_factory=list)


def changes(compared: Iterable[Compared]) -> list[Change]:
    """Return what changed, the changes of most sessions first."""
    tried = [item for item in compared if can_differ(item.counts)]
    if not tried:
        return []
    z = NormalDist().inv_cdf(1 - _ERROR / 2 / len(tried))
    found = [change for item in tried if (change := change_of(item, z)) is not None]
    return sorted(found, key=lambda c: (-abs(c.sessions), c.compared.what, str(c.compared.group)))


def can_differ(counts: Counts) -> bool:
    """Return whether there is enough of something to compare, in sum over both periods."""
    based = counts.before_base > 0 and counts.after_base > 0
    return based and counts.before + counts.after >= LEAST_EVENTS


def change_of(item: Compared, z: float) -> Change | None:
    """Return the change of one count, None if the interval has `no change` in it.

    Args:
        item: The count in both periods.
        z: Half-width of the interval in standard deviations.
    """
    counts = item.counts
    low, high = ratio_interval(counts, z)
    if low <= 1 <= high:
        return None
    expected = counts.before / counts.before_base * counts.after_base
    ratio = counts.after / expected if expected else math.inf
    sessions = counts.after * (1 - 1 / low) if low > 1 else -expected * (1 - high)
    return Change(item, ratio, low, high, sessions)


def ratio_interval(counts: Counts, z: float) -> tuple[float, float]:
    """Return the interval of the ratio of two Poisson rates, after by before; 0 to infinity without any event."""
    total = counts.before + counts.after
    if total == 0:
        return 0.0, math.inf
    low, high = wilson(counts.after, total, z)
    scale = counts.before_base / counts.after_base
    return scale * low / (1 - low), scale * high / (1 - high) if high < 1 else math.inf


def wilson(part: int, total: int, z: float) -> tuple[float, float]:
    """Return Wilson's score interval of a proportion (Wilson, 1927)."""
    centre = (part + z * z / 2) / (total + z * z)
    half = z / (total + z * z) * math.sqrt(part * (total - part) / total + z * z / 4)
    low = 0.0 if part == 0 else max(0.0, centre - half)
    high = 1.0 if part == total else min(1.0, centre + half)
    return low, high


def standing_out(answer: GroupedAnswer, count: str, base: str) -> list[tuple[Any, ...]]:
    """Return the groups whose rate is above that of all others by more than chance explains.

    Args:
        answer: Groups with the total of all.
        count: Measure that counts.
        base: Measure that it is a rate over.

    Returns:
        Their keys, the group with most sessions beyond the others' rate first.
    """
    total = answer.total.values
    items = []
    for row in answer.rows:
        part, whole = row.values[count], row.values[base]
        counts = Counts(total[count] - part, float(total[base] - whole), part, float(whole))
        items.append(Compared(count, base, (), row.keys, counts))
    return [change.compared.group for change in changes(items) if change.ratio > 1]
