"""Writes a filter as DuckDB SQL with bound parameters; no value ever becomes part of the text."""

from __future__ import annotations

from typing import Any

from lastack.model.fields import BY_NAME
from lastack.query.ast import And, Comparison, Node, Not, Or
from lastack.query.metrics import Kind, Metric, Shape
from lastack.query.operators import NULL_TESTS, OPERATORS

_U64_MAX = 2**64 - 1
_I64_MIN, _I64_MAX = -(2**63), 2**63 - 1


def metric_sql(metric: Metric) -> str:
    """Return the SQL expression of a metric over the columns of a session row."""
    if metric.shape is Shape.column:
        return f'"{metric.columns[0]}"'
    first, second = (f'"{name}"' for name in metric.columns)
    if metric.shape is Shape.total:
        if BY_NAME[metric.columns[0]].type != "uint64":
            return f"({first}::BIGINT + {second}::BIGINT)"
        # DuckDB raises on overflow; a hostile capture must not stop a query, so saturate as the mask does.
        return f"least({first}::HUGEINT + {second}::HUGEINT, {_U64_MAX}::HUGEINT)"
    return f"greatest(least({second}::HUGEINT - {first}::HUGEINT, {_I64_MAX}), {_I64_MIN})"


def filter_sql(node: Node | None) -> tuple[str, list[Any]]:
    """Return a DuckDB condition and its parameters in order; `true` for no filter.

    A comparison with null is false, and `not` is the complement, as in the mask form.
    """
    match node:
        case None:
            return "true", []
        case Comparison(metric, symbol, value):
            text, params = OPERATORS[symbol].sql(metric_sql(metric), value)
            if metric.kind is Kind.real:  # the column is FLOAT: a DOUBLE parameter would never equal it
                text = text.replace("?", "?::FLOAT")
            nullable = any(BY_NAME[name].nullable for name in metric.columns)
            if symbol in NULL_TESTS or not nullable:
                return text, params
            return f"coalesce({text}, false)", params
        case Not(term):
            text, params = filter_sql(term)
            return f"NOT ({text})", params
        case And(terms):
            return _joined(" AND ", terms)
        case Or(terms):
            return _joined(" OR ", terms)


def _joined(word: str, terms: tuple[Node, ...]) -> tuple[str, list[Any]]:
    parts = [filter_sql(term) for term in terms]
    return word.join(f"({text})" for text, _ in parts), [p for _, params in parts for p in params]
