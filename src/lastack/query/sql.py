"""Writes a filter as SQL with bound parameters; no value ever becomes part of the text."""

from __future__ import annotations

from typing import Protocol

from lastack.model.fields import BY_NAME
from lastack.query.ast import And, Comparison, Node, Not, Or
from lastack.query.dialect import DUCKDB, Dialect, Fragment
from lastack.query.metrics import Kind, Metric, Shape
from lastack.query.operators import NULL_TESTS, OPERATORS

_U64_MAX = 2**64 - 1
_I64_MIN, _I64_MAX = -(2**63), 2**63 - 1


class Columns(Protocol):
    """How the metrics of a filter are found in a table."""

    def expression(self, metric: Metric, dialect: Dialect) -> str:
        """Return the SQL of a metric."""

    def nullable(self, metric: Metric) -> bool:
        """Return whether it can be null."""


class SessionColumns:
    """Metrics over the columns of session rows."""

    def expression(self, metric: Metric, dialect: Dialect) -> str:
        """Return a column, the sum of two, or the span between two."""
        return metric_sql(metric, dialect)

    def nullable(self, metric: Metric) -> bool:
        """Return whether one of its columns is nullable."""
        return any(BY_NAME[name].nullable for name in metric.columns)


class GroupColumns:
    """Metrics over grouped rows, where each is a column of its own that may be null."""

    def expression(self, metric: Metric, dialect: Dialect) -> str:
        """Return the column."""
        return dialect.name(metric.columns[0])

    def nullable(self, metric: Metric) -> bool:
        """Return true: a ratio or an extreme of nothing is null."""
        return True


_SESSIONS = SessionColumns()


def metric_sql(metric: Metric, dialect: Dialect = DUCKDB) -> str:
    """Return the SQL expression of a metric over the columns of a session row."""
    if metric.shape is Shape.column:
        return dialect.name(metric.columns[0])
    first, second = (dialect.name(name) for name in metric.columns)
    if metric.shape is Shape.total:
        if BY_NAME[metric.columns[0]].type != "uint64":
            return f"({dialect.signed(first)} + {dialect.signed(second)})"
        # Engines raise or wrap on overflow; a hostile capture must not stop a query, so saturate as the mask does.
        return f"least({dialect.wide(first)} + {dialect.wide(second)}, {dialect.wide(str(_U64_MAX))})"
    return f"greatest(least({dialect.wide(second)} - {dialect.wide(first)}, {_I64_MAX}), {_I64_MIN})"


def filter_sql(node: Node | None, columns: Columns = _SESSIONS, dialect: Dialect = DUCKDB) -> Fragment:
    """Return a condition and its parameters in order; `true` for no filter.

    A comparison with null is false, and `not` is the complement, as in the mask form.

    Args:
        node: The filter.
        columns: Where its metrics are found: session rows, or grouped ones.
        dialect: The engine's words.
    """
    match node:
        case None:
            return "true", []
        case Comparison(metric, symbol, value):
            expression = columns.expression(metric, dialect)
            text, params = OPERATORS[symbol].sql(dialect, expression, value)
            if metric.kind is Kind.real:  # the column is a 32-bit float: a double would never equal it
                text = text.replace("?", dialect.single("?"))
            if symbol in NULL_TESTS or not columns.nullable(metric):
                return text, params
            return dialect.known(text, expression), params
        case Not(term):
            text, params = filter_sql(term, columns, dialect)
            return f"NOT ({text})", params
        case And(terms):
            return _joined(" AND ", terms, columns, dialect)
        case Or(terms):
            return _joined(" OR ", terms, columns, dialect)


def _joined(word: str, terms: tuple[Node, ...], columns: Columns, dialect: Dialect) -> Fragment:
    parts = [filter_sql(term, columns, dialect) for term in terms]
    return word.join(f"({text})" for text, _ in parts), [p for _, params in parts for p in params]
