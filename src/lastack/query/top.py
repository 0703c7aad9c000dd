"""Sums by key over a stream of batches, in bounded memory; totals stay true whatever is pruned.

Each batch is grouped by itself and merged into the whole. When more keys are held than `capacity`, the least
weighty are folded into `others`; how many and how weighty is reported, as a list may then be incomplete.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

CAPACITY = 400_000


@dataclass(frozen=True, slots=True)
class TopRow:
    """One key with its sums; `key` has a value for each key column."""

    key: tuple[Any, ...]
    sums: dict[str, int]


@dataclass(frozen=True, slots=True)
class Top:
    """The first rows of an order, with what makes them add up.

    Attributes:
        rows: The rows asked for.
        others: Sums of all other keys.
        total: Sums of everything.
        keys: Distinct keys, those folded away counted once each time.
        folded: Keys that were folded into `others` to bound memory; 0 when all is exact.
    """

    rows: tuple[TopRow, ...] = ()
    others: dict[str, int] = field(default_factory=dict)
    total: dict[str, int] = field(default_factory=dict)
    keys: int = 0
    folded: int = 0


class Sums:
    """Sums of measures by key.

    Args:
        keys: Names of the key columns.
        measures: Names of the columns that are summed.
        weight: The measure that decides which keys are kept when there are too many.
        capacity: Keys held at most (twice as many between two merges).
    """

    def __init__(
        self, keys: tuple[str, ...], measures: tuple[str, ...], weight: str, capacity: int = CAPACITY
    ) -> None:
        self.keys, self.measures, self.weight = keys, measures, weight
        self._capacity = capacity
        self._parts: list[Any] = []
        self._rows = 0
        self._folded = 0
        self._folded_sums = dict.fromkeys(measures, 0)

    def add(self, columns: dict[str, Any]) -> None:
        """Take rows in: an Arrow array or NumPy array for each key and measure."""
        table = pa.table({name: columns[name] for name in (*self.keys, *self.measures)})
        if table.num_rows:
            self._take(self._grouped(table))

    def merge(self, other: Sums) -> None:
        """Take the sums of another part of the input in."""
        for part in other._parts:
            self._take(part)
        self._folded += other._folded
        for name, value in other._folded_sums.items():
            self._folded_sums[name] += value

    def table(self) -> Any:
        """Return all held keys with their sums as one Arrow table."""
        self._settle()
        return self._parts[0] if self._parts else None

    def top(self, by: str, count: int) -> Top:
        """Return the `count` keys with the largest sum of `by`, the others and the total."""
        table = self.table()
        if table is None:
            zero = dict.fromkeys(self.measures, 0)
            return Top((), zero, dict(zero), 0, 0)
        total = {name: _sum(table, name) + self._folded_sums[name] for name in self.measures}
        best = table.take(_largest(table, by, self.keys, count))
        rows = tuple(
            TopRow(tuple(row[key] for key in self.keys), {name: row[name] for name in self.measures})
            for row in best.to_pylist()
        )
        shown = {name: sum(row.sums[name] for row in rows) for name in self.measures}
        others = {name: total[name] - shown[name] for name in self.measures}
        return Top(rows, others, total, table.num_rows + self._folded, self._folded)

    def _take(self, part: Any) -> None:
        self._parts.append(part)
        self._rows += part.num_rows
        if self._rows > 2 * self._capacity:
            self._settle()
            self._fold()

    def _settle(self) -> None:
        if len(self._parts) > 1:
            self._parts = [self._grouped(pa.concat_tables(self._parts))]
            self._rows = self._parts[0].num_rows

    def _fold(self) -> None:
        if self._rows <= self._capacity:
            return
        table = self._parts[0]
        keep = np.zeros(table.num_rows, np.bool_)
        keep[_largest(table, self.weight, self.keys, self._capacity // 2)] = True
        gone = table.filter(pa.array(~keep))
        for name in self.measures:
            self._folded_sums[name] += _sum(gone, name)
        self._folded += gone.num_rows
        self._parts = [table.filter(pa.array(keep))]
        self._rows = self._parts[0].num_rows

    def _grouped(self, table: Any) -> Any:
        grouped = table.group_by(list(self.keys), use_threads=False).aggregate(
            [(name, "sum") for name in self.measures]
        )
        wanted = [*self.keys, *(f"{name}_sum" for name in self.measures)]
        return grouped.select(wanted).rename_columns([*self.keys, *self.measures]).combine_chunks()


def _sum(table: Any, name: str) -> int:
    return int(table.column(name).to_numpy().sum()) if table.num_rows else 0


def _largest(table: Any, by: str, keys: tuple[str, ...], count: int) -> Any:
    """Return the rows with the largest value, ties in the order of their keys so that answers never vary."""
    values = table.column(by).to_numpy()
    candidates = np.arange(len(values))
    if len(values) > count:
        edge = np.partition(values, len(values) - count)[len(values) - count]
        candidates = candidates[values >= edge]
    pool = table.take(pa.array(candidates))
    order = pool.select([by, *keys]).to_pylist()
    ranked = sorted(range(len(order)), key=lambda i: (-order[i][by], *(order[i][key] for key in keys)))
    return candidates[np.array(ranked[:count], np.int64)]
