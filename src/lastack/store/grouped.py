"""Asks grouped questions of datasets through DuckDB."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lastack.model.errors import InputError
from lastack.query.questions import Grouped, GroupedAnswer, Histogram
from lastack.store.answering import answer_grouped, answer_histogram
from lastack.store.dataset import Dataset, connect, empty_batch, missing_column, source_of

if TYPE_CHECKING:  # loading DuckDB takes longer than a small capture does
    import duckdb


def ask_grouped(datasets: Sequence[Dataset], question: Grouped, threads: int | None = None) -> GroupedAnswer:
    """Return the grouped rows of datasets, with the others and the total.

    Args:
        datasets: Where the sessions are.
        question: What is asked.
        threads: Threads that the engine uses, None for as many as there are processors.

    Raises:
        InputError: A segment cannot be read.
    """
    with _Session(datasets, threads) as session:
        return answer_grouped(session.run, session.source, question)


def ask_histogram(
    datasets: Sequence[Dataset], question: Histogram, threads: int | None = None
) -> list[tuple[Any, list[int]]]:
    """Return for each value of the key (None without one) the number of sessions in each bucket, and above all.

    Raises:
        InputError: A segment cannot be read.
    """
    with _Session(datasets, threads) as session:
        return answer_histogram(session.run, session.source, question)


class _Session:
    """A connection with the segments of some datasets as its source; its errors are ours."""

    def __init__(self, datasets: Sequence[Dataset], threads: int | None) -> None:
        self._datasets = datasets
        self._connection: duckdb.DuckDBPyConnection = connect(threads)
        if any(dataset.manifest.segments for dataset in datasets):
            self.source: tuple[str, list[Any]] = source_of(datasets)
        else:
            from lastack.model.fields import FIELDS

            self._connection.register("lastack_nothing", empty_batch([field.name for field in FIELDS]))
            self.source = ("lastack_nothing", [])

    def __enter__(self) -> _Session:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def run(self, statement: tuple[str, list[Any]]) -> list[tuple[Any, ...]]:
        import duckdb

        text, params = statement
        try:
            return self._connection.execute(text, params).fetchall()
        except duckdb.IOException as reason:
            raise InputError(f"{self._datasets[0].path}: cannot be read: {reason}") from None
        except duckdb.BinderException as reason:
            raise missing_column(reason, self._datasets) from None
