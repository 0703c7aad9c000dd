"""Sessions that are kept somewhere and answer questions: the one thing that commands and pages ask.

Folders of Parquet segments are one kind (`Folders`, through DuckDB); a database of ClickHouse is another
(`store.clickhouse_stored`). Both answer the same questions with the same values.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lastack.query.ast import Node
from lastack.query.questions import Grouped, GroupedAnswer, Histogram
from lastack.store.dataset import Dataset, Order, incomplete, scan_datasets
from lastack.store.grouped import ask_grouped, ask_histogram
from lastack.store.manifest import Run
from lastack.store.reuse import sessions_on_used_ports


@dataclass(frozen=True, slots=True)
class Part:
    """One dataset or database among those that are asked.

    Attributes:
        name: As it can be named again.
        rows: Sessions in it.
        state: `complete`, `growing` or `partial`.
        segments: Files or inserts that it is made of.
        runs: What was read to make it.
        note: What a person must know of it, empty if nothing.
    """

    name: str
    rows: int
    state: str
    segments: int
    runs: tuple[Run, ...]
    note: str = ""


class Stored(Protocol):
    """Kept sessions."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """What they are in."""

    def scan(
        self,
        where: Node | None = None,
        columns: Sequence[str] | None = None,
        order: Order | None = None,
        limit: int | None = None,
    ) -> Iterator[Any]:
        """Yield the rows that pass a filter as RecordBatches in the record's own types.

        Args:
            where: Filter, None for all rows.
            columns: Columns of the rows, None for all.
            order: Sort by a metric; None for the order in which they are kept.
            limit: Rows at most.

        Raises:
            InputError: They cannot be read.
        """

    def grouped(self, question: Grouped, threads: int | None = None) -> GroupedAnswer:
        """Return the rows of a grouped question, with the others and the total.

        Args:
            question: What is asked.
            threads: Threads that an engine in this process uses, None for as many as there are processors.

        Raises:
            InputError: They cannot be read.
        """

    def histogram(self, question: Histogram, threads: int | None = None) -> list[tuple[Any, list[int]]]:
        """Return for each value of the key (None without one) the sessions in each bucket, and above all.

        Raises:
            InputError: They cannot be read.
        """

    def used_ports(self, threads: int | None = None) -> NDArray[np.uint64]:
        """Return the ids, sorted, of sessions that a box may take for one with another on the same four-tuple.

        Raises:
            InputError: They cannot be read.
        """


class Folders:
    """Sessions in folders of segments.

    Args:
        datasets: The folders, opened.
    """

    def __init__(self, datasets: Sequence[Dataset] = ()) -> None:
        self.datasets = list(datasets)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The folders."""
        return tuple(
            Part(
                str(one.path),
                one.rows,
                one.manifest.state,
                len(one.manifest.segments),
                one.manifest.runs,
                f"{one.path}: {incomplete(one.manifest)}" if one.manifest.state != "complete" else "",
            )
            for one in self.datasets
        )

    def scan(
        self,
        where: Node | None = None,
        columns: Sequence[str] | None = None,
        order: Order | None = None,
        limit: int | None = None,
    ) -> Iterator[Any]:
        """Yield rows in the order of the segments, or sorted together."""
        return scan_datasets(self.datasets, where, columns, order, limit)

    def grouped(self, question: Grouped, threads: int | None = None) -> GroupedAnswer:
        """Return DuckDB's answer."""
        return ask_grouped(self.datasets, question, threads)

    def histogram(self, question: Histogram, threads: int | None = None) -> list[tuple[Any, list[int]]]:
        """Return DuckDB's answer."""
        return ask_histogram(self.datasets, question, threads)

    def used_ports(self, threads: int | None = None) -> NDArray[np.uint64]:
        """Return DuckDB's answer."""
        return sessions_on_used_ports(self.datasets, threads)
