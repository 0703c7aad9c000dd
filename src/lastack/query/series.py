"""Measures over time as rows of numbers: which buckets there are, and what stands where there is nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lastack.model.errors import UsageError
from lastack.model.units import NS_PER_MS, NS_PER_S, format_duration
from lastack.query.ast import And, Comparison, Node, Not, Or, Span, Words
from lastack.query.keys import Key
from lastack.query.measures import Measure
from lastack.query.metrics import Kind

#: Buckets of a chart at most: more are neither seen nor quick.
MOST_BUCKETS = 20_000
_WANTED = 60
_NICE_NS = (
    *(NS_PER_MS * n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500)),
    *(NS_PER_S * n for n in (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200)),
    *(NS_PER_S * 86_400 * n for n in (1, 7, 28, 365)),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Series:
    """One line of a chart: a value for each bucket, None where there is none to tell."""

    name: str
    measure: Measure
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class TimeChart:
    """Lines over buckets of time.

    Attributes:
        starts: Start of each bucket, ns since the epoch, without holes.
        width_ns: Their width.
        series: The lines.
        total: Whether the lines add up to the whole (one measure that adds up, all keys or an `others` line).
    """

    starts: tuple[int, ...]
    width_ns: int
    series: tuple[Series, ...]
    total: bool = False


@dataclass(frozen=True, slots=True)
class Distribution:
    """How a quantity is spread: sessions in each bucket of its size.

    Attributes:
        name: The quantity.
        kind: What its values are, which decides how edges are written.
        edges: Upper edge of each bucket; what is above has one more count.
        counts: Name of a group -> its counts.
    """

    name: str
    kind: Kind
    edges: tuple[int, ...]
    counts: dict[str, tuple[int, ...]]

    def trimmed(self) -> Distribution:
        """Return it without the empty buckets at both ends."""
        sums = [sum(column) for column in zip(*self.counts.values(), strict=True)]
        used = [place for place, count in enumerate(sums) if count]
        if not used:
            return Distribution(self.name, self.kind, (), dict.fromkeys(self.counts, ()))
        first, last = used[0], used[-1]
        # The last count has no edge of its own: it is what lies above all of them.
        counts = {name: values[first : last + 1] for name, values in self.counts.items()}
        return Distribution(self.name, self.kind, self.edges[first : last + 1], counts)


def nice_width(first_ns: int | None, last_ns: int | None) -> int:
    """Return the width that cuts a span into about sixty buckets of a size people like."""
    if first_ns is None or last_ns is None:
        return NS_PER_S
    return next((width for width in _NICE_NS if width * _WANTED >= last_ns - first_ns), _NICE_NS[-1])


def filled(found: Sequence[Mapping[int, Any]], width_ns: int) -> tuple[int, ...]:
    """Return the starts of all buckets from the first to the last that any of the lines has.

    Raises:
        UsageError: There are too many.
    """
    known = [start for line in found for start in line]
    if not known:
        return ()
    first, last = min(known), max(known)
    count = (last - first) // width_ns + 1
    if count > MOST_BUCKETS:
        span = format_duration(last - first)
        raise UsageError(
            f"graph: {count:,} buckets of {format_duration(width_ns)} in {span}; give a larger --every, or a filter "
            "such as -f 'start > 2026-01-31'"
        )
    return tuple(range(first, last + 1, width_ns))


def line(name: str, measure: Measure, found: Mapping[int, Any], starts: Sequence[int]) -> Series:
    """Return a line over all buckets: where there are no sessions, a sum is 0 and everything else unknown."""
    blank = 0 if measure.adds_up else None
    return Series(name, measure, tuple(found.get(start, blank) for start in starts))


def key_filter(keys: Sequence[Key], values: Sequence[tuple[Any, ...]]) -> Node:
    """Return the filter that passes the sessions of some groups."""
    groups: list[Node] = [
        And(tuple(_equal(key, value) for key, value in zip(keys, group, strict=True))) for group in values
    ]
    return groups[0] if len(groups) == 1 else Or(tuple(groups))


def all_of(*terms: Node | None) -> Node | None:
    """Return the filter that passes what passes each of some filters."""
    used = tuple(term for term in terms if term is not None)
    return None if not used else used[0] if len(used) == 1 else And(used)


def none_of(node: Node) -> Node:
    """Return the complement of a filter."""
    return Not(node)


def _equal(key: Key, value: Any) -> Node:
    if value is None:
        return Comparison(key.metric, "is null", None)
    if key.metric.kind in (Kind.enum, Kind.text):
        return Comparison(key.metric, "=", Words((value,)))
    return Comparison(key.metric, "=", (Span(value, value),))
