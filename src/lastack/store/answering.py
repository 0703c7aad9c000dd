"""Answers grouped questions on any engine: runs their statements in order and puts the parts together."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from lastack.query.dialect import DUCKDB, Dialect, Fragment
from lastack.query.emit import grouped_sql, histogram_sql
from lastack.query.measures import Atom, Measure
from lastack.query.questions import Grouped, GroupedAnswer, GroupedRow, Histogram

#: Runs a statement and returns its rows.
Run = Callable[[Fragment], list[tuple[Any, ...]]]


def answer_histogram(
    run: Run, source: Fragment, question: Histogram, dialect: Dialect = DUCKDB
) -> list[tuple[Any, list[int]]]:
    """Return for each value of the key (None without one) the number of sessions in each bucket, and above all.

    Args:
        run: Runs a statement, and returns its rows.
        source: What stands after FROM, and its values.
        question: What is asked.
        dialect: The engine's words.
    """
    rows = run(histogram_sql(question, source, dialect))
    empty = [0] * (len(question.edges) + 1)
    # DuckDB leaves the bucket above all edges out when nothing is in it.
    return [(key, [*counts, *empty[len(counts) :]] if counts is not None else empty) for key, counts in rows]


def answer_grouped(run: Run, source: Fragment, question: Grouped, dialect: Dialect = DUCKDB) -> GroupedAnswer:
    """Return the grouped rows of some sessions, with the others and the total.

    Args:
        run: Runs a statement on one connection, and returns its rows.
        source: What stands after FROM, and its values.
        question: What is asked.
        dialect: The engine's words.
    """
    sql = grouped_sql(question, source, dialect)
    run(sql.groups)
    run(sql.listed)
    count = len(question.keys)
    names = [measure.name for measure in question.all_measures]
    rows = [GroupedRow(row[:count], dict(zip(names, row[count:], strict=True))) for row in run(sql.rows)]
    groups, passing, *joined = run(sql.summary)[0]
    answer = GroupedAnswer(question, rows, groups=groups, passing=passing)
    totals = dict(zip(question.atoms, joined, strict=True))
    if sql.whole is not None:
        totals |= _apart(question, run(sql.whole)[0])
    answer.total = _row(question, totals)
    if len(rows) < groups:
        rest = dict(zip(question.atoms, run(sql.unlisted)[0], strict=True))
        if sql.others is not None:
            rest |= _apart(question, run(sql.others)[0])
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
