"""Questions about groups of sessions, as plain data that any engine can be asked; see `query.emit` for the SQL."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lastack.model.errors import UsageError
from lastack.query.ast import Node, comparisons
from lastack.query.keys import Key
from lastack.query.measure_text import read_measure
from lastack.query.measures import Atom, Measure
from lastack.query.metrics import Metric, nearest
from lastack.query.parse import parse_filter


@dataclass(frozen=True, slots=True)
class Sort:
    """The order of grouped rows: by a measure or key, largest first unless `ascending`."""

    name: str
    ascending: bool = False


@dataclass(frozen=True, slots=True)
class Grouped:
    """Measures of sessions by keys: the first rows of an order, the others, and the total.

    Attributes:
        measures: What is measured.
        keys: By what; none for one row.
        where: Sessions that are looked at.
        having: Grouped rows that are listed; the others stay in the others and in the total.
        having_measures: Measures that only `having` or `sort` need.
        sort: The order; None for the first measure, or for time if a key is one.
        top: Rows that are listed, None for all.
        strays: Look at rows of stray packets too, which are no sessions.
    """

    measures: tuple[Measure, ...]
    keys: tuple[Key, ...] = ()
    where: Node | None = None
    having: Node | None = None
    having_measures: tuple[Measure, ...] = ()
    sort: Sort | None = None
    top: int | None = None
    strays: bool = False

    @property
    def all_measures(self) -> tuple[Measure, ...]:
        """Every measure that must be known for the answer."""
        return (*self.measures, *self.having_measures)

    @property
    def atoms(self) -> tuple[Atom, ...]:
        """What has to be aggregated, each once."""
        return tuple(dict.fromkeys(atom for measure in self.all_measures for atom in measure.atoms))

    @property
    def order(self) -> Sort:
        """The order that holds: as asked for, by time, or by the first measure, largest first."""
        if self.sort is not None:
            return self.sort
        times = [key.name for key in self.keys if key.width_ns is not None]
        return Sort(times[0], ascending=True) if times else Sort(self.measures[0].name)


@dataclass(frozen=True, slots=True)
class Histogram:
    """Numbers of sessions by the size of a quantity, for each value of a key if there is one.

    Attributes:
        metric: The quantity.
        edges: Upper edges of the buckets, ascending, each included in its bucket; what is above has one more.
        where: Sessions that are looked at; those for which the quantity is unknown are in no bucket.
        key: Count for each of its values apart.
        strays: Look at rows of stray packets too.
    """

    metric: Metric
    edges: tuple[int, ...]
    where: Node | None = None
    key: Key | None = None
    strays: bool = False


@dataclass(frozen=True, slots=True)
class GroupedRow:
    """One grouped row: a value for each key and each measure, None where there is none to tell."""

    keys: tuple[Any, ...]
    values: dict[str, Any]


@dataclass(slots=True)
class GroupedAnswer:
    """What a `Grouped` question gave.

    Attributes:
        question: The question.
        rows: The rows listed.
        others: Everything that is not listed, as one row; None if all is.
        total: Everything.
        groups: Groups that there are.
        passing: Of them, those that pass `having`.
        notes: What the reader must know of the input.
    """

    question: Grouped
    rows: list[GroupedRow] = field(default_factory=list)
    others: GroupedRow | None = None
    total: GroupedRow = field(default_factory=lambda: GroupedRow((), {}))
    groups: int = 0
    passing: int = 0
    notes: list[str] = field(default_factory=list)


def parse_having(
    text: str, measures: tuple[Measure, ...], keys: tuple[Key, ...]
) -> tuple[Node | None, tuple[Measure, ...]]:
    """Return the filter on grouped rows that a text is, and the measures it needs beside those given.

    The language is that of filters on sessions; names mean sums, and calls and quotients are names too.

    Raises:
        UsageError: The text is no filter on grouped rows.
    """
    known = {measure.name: measure for measure in measures}
    node = parse_filter(text, _finder(known, keys), "having")
    used = {comparison.metric.name for comparison in comparisons(node)} if node is not None else set()
    more = [m for name, m in known.items() if name in used and m not in measures]
    return node, tuple(more)


def _finder(known: dict[str, Measure], keys: tuple[Key, ...]) -> Callable[[str], Metric]:
    def find(name: str) -> Metric:
        for key in keys:
            if name.casefold() in (key.name, key.metric.columns[0]):
                return key.column
        measure = known.get(name) or read_measure(name)
        known.setdefault(measure.name, measure)
        return measure.metric

    return find


def parse_sort(
    text: str, measures: tuple[Measure, ...], keys: tuple[Key, ...]
) -> tuple[Sort, tuple[Measure, ...]]:
    """Return the order that a text names, and the measures it needs beside those given.

    Args:
        text: A measure or a key; `-` before it is largest first, `+` smallest first. Without either, measures come
            largest first and keys smallest first.
        measures: What is measured already.
        keys: What is grouped by.

    Raises:
        UsageError: It is neither.
    """
    sign, name = (text[0], text[1:]) if text[:1] in "+-" else ("", text)
    for key in keys:
        if name.casefold() == key.name:
            return Sort(key.name, ascending=sign != "-"), ()
    try:
        measure = read_measure(name)
    except ValueError as reason:
        near = nearest(name, [*(m.name for m in measures), *(k.name for k in keys)])
        hint = f"did you mean {near}?" if near else str(reason)
        raise UsageError(f"sort: {name!r} is neither a metric nor one of the keys: {hint}") from None
    more = () if measure.name in {m.name for m in measures} else (measure,)
    return Sort(measure.name, ascending=sign == "+"), more


def log_edges(low: int = 1, high: int = 10**15, digits: tuple[int, ...] = (1, 2, 5)) -> tuple[int, ...]:
    """Return edges at some digits of each power of ten, from the first at or above `low` to that above `high`.

    Args:
        low: The first edge is at or above it.
        high: The last edge is at or above it.
        digits: Rising, all of one length: (1, 2, 5), or (10, 12, 16, 20 …) for edges between these.
    """
    scale = 10 ** (len(str(digits[0])) - 1)
    edges = [digit * 10**power // scale for power in range(len(str(high)) + 2) for digit in digits]
    edges = sorted({edge for edge in edges if edge > 0})
    start = next(i for i, edge in enumerate(edges) if edge >= low)
    end = next(i for i, edge in enumerate(edges) if edge >= high)
    return tuple(edges[start : end + 1])


#: Ten edges for each power of ten, nearly the same factor apart (the Renard series R10, ISO 3), for charts.
FINE = (10, 12, 16, 20, 25, 32, 40, 50, 63, 80)
