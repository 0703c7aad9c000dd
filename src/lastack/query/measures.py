"""What can be measured of a group of sessions: counts, sums, extremes, percentiles, and quotients of these.

A *measure* is written as people say it: `sessions`, `rst.count.srv` (names of the filter language mean sums here),
`refused`, `p99(ct)`, `distinct(client.ip)`, `count(rst > 0 and fin = 0)`, `rst.srv/connection`. The named counts are
filters, so that a list and its follow-up `lastack sessions -f` can never disagree.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from lastack.query.ast import Node
from lastack.query.metrics import Kind, Metric


class Fold(enum.Enum):
    """How the rows of a group make one value, and by which fold values of two groups make that of both."""

    count = "count"
    sum = "sum"
    min = "min"
    max = "max"
    quantile = "quantile"
    distinct = "distinct"
    example = "example"

    @property
    def merges(self) -> Fold | None:
        """The fold that joins two groups' values; None if rows are needed again."""
        return {Fold.count: Fold.sum, Fold.sum: Fold.sum, Fold.min: Fold.min, Fold.max: Fold.max}.get(self)

    @property
    def needs_rows(self) -> bool:
        """Whether the value of several groups together is asked for, and cannot be made from theirs."""
        return self in (Fold.quantile, Fold.distinct)


@dataclass(frozen=True, slots=True)
class Atom:
    """One value that an engine aggregates.

    Attributes:
        fold: How.
        metric: Of what; None when rows are counted.
        where: Rows that count, None for all; for `count` and `example`.
        share: For `quantile`: 0.99 is the 99th percentile.
    """

    fold: Fold
    metric: Metric | None = None
    where: Node | None = None
    share: float = 0.0


@dataclass(frozen=True, slots=True)
class Measure:
    """A column of grouped rows: an atom, or one atom divided by another.

    Attributes:
        name: As people write it; the name of the column too.
        kind: What its values are.
        above: The atom, or what is divided.
        below: What it is divided by.
        percent: Shown as a percentage.
        help: One sentence for people.
    """

    name: str
    kind: Kind
    above: Atom
    below: Atom | None = None
    percent: bool = False
    help: str = ""

    @property
    def atoms(self) -> tuple[Atom, ...]:
        """What has to be aggregated for it."""
        return (self.above,) if self.below is None else (self.above, self.below)

    @property
    def adds_up(self) -> bool:
        """Whether the values of all groups add up to that of the whole."""
        return self.below is None and self.above.fold in (Fold.count, Fold.sum)

    @property
    def metric(self) -> Metric:
        """The measure as a name of the filter language over grouped rows."""
        from lastack.query.metrics import Shape

        return Metric(self.name, self.kind, Shape.column, (self.name,), self.help)
