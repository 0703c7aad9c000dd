"""A parsed filter: a tree of comparisons, each with its metric and typed values already checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from lastack.query.metrics import Metric


@dataclass(frozen=True, slots=True)
class Span:
    """Every value from `low` to `high`, both included; one value when they are equal."""

    low: int | float | bytes
    high: int | float | bytes


@dataclass(frozen=True, slots=True)
class Words:
    """Texts that match: `exact` ones, and `globs` where `*` is any run of characters and `?` is one."""

    exact: tuple[str, ...] = ()
    globs: tuple[str, ...] = ()


#: Right of an operator: a number for an order, spans or words for a membership, None for a null test.
Value: TypeAlias = int | float | tuple[Span, ...] | Words | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One metric, one operator (the key of a row of `operators.OPERATORS`), one value."""

    metric: Metric
    operator: str
    value: Value


@dataclass(frozen=True, slots=True)
class Not:
    """The complement of a filter: every row is in exactly one of the two."""

    term: Node


@dataclass(frozen=True, slots=True)
class And:
    """Rows that are in all terms."""

    terms: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Rows that are in any term."""

    terms: tuple[Node, ...]


Node: TypeAlias = Comparison | Not | And | Or


def comparisons(node: Node) -> Iterator[Comparison]:
    """Yield the comparisons of a filter, left to right."""
    match node:
        case Comparison():
            yield node
        case Not(term):
            yield from comparisons(term)
        case And(terms) | Or(terms):
            for term in terms:
                yield from comparisons(term)


def columns(node: Node) -> set[str]:
    """Return the columns of the session record that a filter reads."""
    return {column for comparison in comparisons(node) for column in comparison.metric.columns}
