"""The slow, obvious reading of a grouped question: Python lists, one group at a time."""

from __future__ import annotations

import math
from typing import Any

from lastack.query.emit import base_filter
from lastack.query.mask import mask_rows
from lastack.query.measures import Atom, Fold, Measure
from lastack.query.metrics import Metric, Shape
from lastack.query.questions import Grouped, GroupedAnswer, GroupedRow


def answer(question: Grouped, table: Any) -> GroupedAnswer:
    """Return what the question gives over a table of sessions; `having` is not read."""
    rows = table.to_pylist()
    chosen = mask_rows(base_filter(question.where, question.strays), table)
    passes = {atom: mask_rows(atom.where, table) for atom in question.atoms}
    groups: dict[tuple[Any, ...], list[int]] = {}
    for place, row in enumerate(rows):
        if chosen[place]:
            groups.setdefault(tuple(key_value(key, row) for key in question.keys), []).append(place)
    if not question.keys:
        groups.setdefault((), [])

    def row_of(keys: tuple[Any, ...], places: list[int]) -> GroupedRow:
        values = {
            measure.name: value(
                measure, {atom: fold(atom, rows, places, passes[atom]) for atom in measure.atoms}
            )
            for measure in question.all_measures
        }
        return GroupedRow(keys, values)

    found = [row_of(keys, places) for keys, places in groups.items()]
    found.sort(key=lambda row: _rank(question, row))
    listed = found[: question.top]
    known = {row.keys for row in listed}
    rest = [place for keys, places in groups.items() if keys not in known for place in places]
    everything = [place for places in groups.values() for place in places]
    others = row_of((), rest) if len(listed) < len(found) else None
    return GroupedAnswer(question, listed, others, row_of((), everything), len(found), len(found))


def key_value(key: Any, row: dict[str, Any]) -> Any:
    raw = number(key.metric, row)
    return raw if key.width_ns is None else math.floor(raw / key.width_ns) * key.width_ns


def number(metric: Metric, row: dict[str, Any]) -> Any:
    values = [row[name] for name in metric.columns]
    if any(part is None for part in values):
        return None
    if metric.shape is Shape.column:
        return values[0]
    return sum(values) if metric.shape is Shape.total else values[1] - values[0]


def fold(atom: Atom, rows: list[dict[str, Any]], places: list[int], passes: Any) -> Any:
    if atom.fold is Fold.count:
        return sum(1 for place in places if passes[place])
    assert atom.metric is not None
    kept = [place for place in places if passes[place]]
    values = [v for v in (number(atom.metric, rows[place]) for place in kept) if v is not None]
    if atom.fold is Fold.sum:
        return sum(values)
    if atom.fold is Fold.distinct:
        return len(set(values))
    if not values:
        return None
    if atom.fold is Fold.quantile:
        return sorted(values)[math.ceil(round(atom.share * len(values), 9)) - 1]
    return max(values) if atom.fold is Fold.max else min(values)


def value(measure: Measure, atoms: dict[Atom, Any]) -> Any:
    above = atoms[measure.above]
    if measure.below is None:
        return above
    below = atoms[measure.below]
    return above / below if below else (math.inf if above else None)


def _rank(question: Grouped, row: GroupedRow) -> tuple[Any, ...]:
    order = question.order
    names = [key.name for key in question.keys]
    ranked = row.keys[names.index(order.name)] if order.name in names else row.values[order.name]
    sign = 1 if order.ascending else -1
    first = (1, 0) if ranked is None else (0, _sortable(ranked, sign))
    return (*first, *((part is None, part if part is not None else 0) for part in row.keys))


def _sortable(ranked: Any, sign: int) -> Any:
    return sign * ranked if isinstance(ranked, int | float) else ranked
