"""The operators of the filter language: symbol, mask, SQL and English of each in one row.

A mask function sees a `Values` (the metric's values of some rows) and returns one bool a row; rows where the
value is null are cleared by the caller, as a comparison with null is false. An SQL function sees the SQL of the
metric and returns a condition with its bound parameters; the caller wraps it so that null is false there too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lastack.query.ast import Span, Value, Words
from lastack.query.columns import Values
from lastack.query.dialect import Dialect
from lastack.query.metrics import Kind

Mask = NDArray[np.bool_]
Condition = tuple[str, list[Any]]

_ORDERED = frozenset({Kind.number, Kind.real, Kind.ratio, Kind.duration, Kind.time, Kind.size})
_WORDY = frozenset({Kind.text, Kind.enum})
_ALL = frozenset(Kind)


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator.

    Attributes:
        symbol: As people write it.
        english: What stands between the metric and the value in a sentence.
        kinds: Kinds of metrics it applies to.
        mask: From values and the right side to one bool a row.
        sql: From an engine's words, the SQL of a metric and the right side to a condition and its parameters.
    """

    symbol: str
    english: str
    kinds: frozenset[Kind]
    mask: Callable[[Values, Value], Mask]
    sql: Callable[[Dialect, str, Value], Condition]


def _order(symbol: str, english: str, compare: Callable[[Any, Any], Any]) -> Operator:
    def mask(values: Values, value: Value) -> Mask:
        result: Mask = compare(values.numbers(), value)
        return result

    def sql(dialect: Dialect, expression: str, value: Value) -> Condition:
        return f"{expression} {symbol} ?", [value]

    return Operator(symbol, english, _ORDERED, mask, sql)


def glob_to_regex(glob: str) -> str:
    """Return the regular expression (RE2) of a whole text that a glob of `*` and `?` matches."""
    return "".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in glob)


def _member_mask(values: Values, value: Value) -> Mask:
    if isinstance(value, Words):
        return values.matching(value.exact, [glob_to_regex(glob) for glob in value.globs])
    assert isinstance(value, tuple)
    found = np.zeros(len(values), np.bool_)
    for span in value:
        found |= values.within(span.low, span.high)
    return found


def _member_sql(dialect: Dialect, expression: str, value: Value) -> Condition:
    if isinstance(value, Words):
        return _any_of(
            [_equal_sql(expression, value.exact), *(_glob_sql(dialect, expression, g) for g in value.globs)]
        )
    assert isinstance(value, tuple)
    single = [span.low for span in value if span.low == span.high]
    ranges = [span for span in value if span.low != span.high]
    return _any_of([_equal_sql(expression, single), *(_between_sql(expression, span) for span in ranges)])


def _equal_sql(expression: str, values: Any) -> Condition:
    if not values:
        return "", []
    if len(values) == 1:
        return f"{expression} = ?", list(values)
    return f"{expression} IN ({', '.join('?' * len(values))})", list(values)


def _between_sql(expression: str, span: Span) -> Condition:
    return f"{expression} BETWEEN ? AND ?", [span.low, span.high]


def _glob_sql(dialect: Dialect, expression: str, glob: str) -> Condition:
    return dialect.matches(expression), [glob_to_regex(glob)]


def _any_of(conditions: list[Condition]) -> Condition:
    used = [condition for condition in conditions if condition[0]]
    text = " OR ".join(text for text, _ in used)
    return f"({text})" if len(used) > 1 else text, [p for _, params in used for p in params]


def _outside_mask(values: Values, value: Value) -> Mask:
    return ~_member_mask(values, value)


def _outside_sql(dialect: Dialect, expression: str, value: Value) -> Condition:
    text, params = _member_sql(dialect, expression, value)
    return f"NOT ({text})", params


def _null_mask(values: Values, value: Value) -> Mask:
    return ~values.valid


def _not_null_mask(values: Values, value: Value) -> Mask:
    return values.valid


def _null_sql(dialect: Dialect, expression: str, value: Value) -> Condition:
    return f"{expression} IS NULL", []


def _not_null_sql(dialect: Dialect, expression: str, value: Value) -> Condition:
    return f"{expression} IS NOT NULL", []


#: Every operator by its symbol.
OPERATORS: dict[str, Operator] = {
    row.symbol: row
    for row in (
        Operator("=", "is", _ALL, _member_mask, _member_sql),
        Operator("!=", "is not", _ALL, _outside_mask, _outside_sql),
        _order("<", "is below", np.less),
        _order("<=", "is at most", np.less_equal),
        _order(">", "is above", np.greater),
        _order(">=", "is at least", np.greater_equal),
        Operator("~", "looks like", _WORDY, _member_mask, _member_sql),
        Operator("!~", "does not look like", _WORDY, _outside_mask, _outside_sql),
        Operator("in", "is in", _ALL, _member_mask, _member_sql),
        Operator("not in", "is not in", _ALL, _outside_mask, _outside_sql),
        Operator("is null", "is unknown", _ALL, _null_mask, _null_sql),
        Operator("is not null", "is known", _ALL, _not_null_mask, _not_null_sql),
    )
}
#: Rows of operators whose meaning is about null itself, so null does not count as false.
NULL_TESTS = frozenset({"is null", "is not null"})
