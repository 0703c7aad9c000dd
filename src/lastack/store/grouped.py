"""Asks grouped questions of datasets through DuckDB."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lastack.model.errors import InputError
from lastack.query.emit import grouped_sql, histogram_sql
from lastack.query.measures import Atom, Measure
from lastack.query.questions import Grouped, GroupedAnswer, GroupedRow, Histogram
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
        return _answer(session, question)


def ask_histogram(
    datasets: Sequence[Dataset], question: Histogram, threads: int | None = None
) -> list[tuple[Any, list[int]]]:
    """Return for each value of the key (None without one) the number of sessions in each bucket, and above all.

    Raises:
        InputError: A segment cannot be read.
    """
    with _Session(datasets, threads) as session:
        rows = session.run(histogram_sql(question, session.source))
    empty = [0] * (len(question.edges) + 1)
    # DuckDB leaves the bucket above all edges out when nothing is in it.
    return [(key, [*counts, *empty[len(counts) :]] if counts is not None else empty) for key, counts in rows]


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


def _answer(session: _Session, question: Grouped) -> GroupedAnswer:
    sql = grouped_sql(question, session.source)
    session.run(sql.groups)
    session.run(sql.listed)
    count = len(question.keys)
    names = [measure.name for measure in question.all_measures]
    rows = [
        GroupedRow(row[:count], dict(zip(names, row[count:], strict=True))) for row in session.run(sql.rows)
    ]
    groups, passing, *joined = session.run(sql.summary)[0]
    answer = GroupedAnswer(question, rows, groups=groups, passing=passing)
    totals = dict(zip(question.atoms, joined, strict=True))
    if sql.whole is not None:
        totals |= _apart(question, session.run(sql.whole)[0])
    answer.total = _row(question, totals)
    if len(rows) < groups:
        rest = dict(zip(question.atoms, session.run(sql.unlisted)[0], strict=True))
        if sql.others is not None:
            rest |= _apart(question, session.run(sql.others)[0])
        answer.others = _row(question, rest)
    return answer


def _apart(question: Grouped, values: Sequence[Any]) -> dict[Atom, Any]:
    atoms = [atom for atom in question.atoms if atom.fold.needs_rows]
    return dict(zip(atoms, values, strict=True))


def _row(question: Grouped, atoms: dict[Atom, Any]) -> GroupedRow:
    return GroupedRow((), {measure.name: _value(measure, atoms) for measure in question.all_measures})


def _value(measure: Measure, atoms: dict[Atom, Any]) -> Any:
    above = atoms[measure.above]
    if measure.below is None:
        return above
    below = atoms[measure.below]
    if below:
        return float(above) / float(below)
    return math.inf if above else None
