"""Asks a dataset for the values that alert rules look at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from lastack.app.alerts import Alert
from lastack.model.units import NS_PER_S
from lastack.query.ast import And, Comparison
from lastack.query.measure_text import parse_measures
from lastack.query.metrics import METRICS
from lastack.query.questions import Grouped
from lastack.store.dataset import Dataset
from lastack.store.grouped import ask_grouped

#: The clock of a capture on standard input may differ so much from the one that dates files.
_SLACK_NS = 3600 * NS_PER_S
_END = "end"
_COUNT = "sessions"


def ask_alert(dataset: Dataset, rule: Alert, now_ns: int) -> tuple[float | None, int]:
    """Return the value of a rule's metric over its window, and the number of sessions that it is made of.

    Args:
        dataset: Where the sessions are.
        rule: The rule.
        now_ns: End of the window, ns since the epoch.

    Raises:
        InputError: A segment cannot be read.
    """
    since_ns = now_ns - rule.window_ns
    recent = Comparison(METRICS[_END], ">=", since_ns)
    where = recent if rule.where is None else And((recent, rule.where))
    (count,) = parse_measures(_COUNT)
    measures = (rule.measure,) if rule.measure.name == count.name else (rule.measure, count)
    answer = ask_grouped([_recent(dataset, since_ns)], Grouped(measures, where=where), threads=1)
    values = answer.total.values
    value = values[rule.measure.name]
    return (None if value is None else float(value)), int(values[count.name] or 0)


def _recent(dataset: Dataset, since_ns: int) -> Dataset:
    """Return the dataset without the segments that were written before a time: their sessions ended earlier."""
    kept = []
    for segment in dataset.manifest.segments:
        file = dataset.path / segment.file
        if (
            isinstance(file, Path)
            and file.is_file()
            and file.stat().st_mtime * NS_PER_S >= since_ns - _SLACK_NS
        ):
            kept.append(segment)
    return Dataset(dataset.path, replace(dataset.manifest, segments=tuple(kept)), dataset.classes)
