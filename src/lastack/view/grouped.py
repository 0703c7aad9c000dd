"""Grouped rows as a table for people, with the others and the total, and as CSV and JSON for programs."""

from __future__ import annotations

import csv
import io
import json
import sys
from typing import Any

from lastack.query.measures import Fold, Measure
from lastack.query.questions import GroupedAnswer, GroupedRow
from lastack.view.cells import plural, share
from lastack.view.page import Page
from lastack.view.quantities import keys_cells, measure_cell, plain_key, plain_value, unit_of
from lastack.view.table import table_width

_BAR = 10  # characters of a full bar
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def render_table(
    answer: GroupedAnswer, what: str = "group", *, bars: bool = False, colour: bool | None = None
) -> str:
    """Return the table.

    Args:
        answer: What to show.
        what: One of what is listed, such as `server`.
        bars: Show the share that each row has of the first measure's total, and a bar as long as it is beside the
            largest row's.
        colour: Show styles; by default only on a terminal.
    """
    page = Page(table_width(sys.stdout), colour)
    measures = list(answer.question.measures)
    while True:
        shown = _Shown(answer, tuple(measures), bars)
        if shown.width <= page.width or len(measures) <= 1:
            break
        # An example is the way on, and the first measure the question: what stands between goes first.
        last = len(measures) - 1
        measures.pop(last - 1 if last > 1 and measures[last].above.fold is Fold.example else last)
    page.table(
        [*shown.rows, *shown.sums], shown.align, shown.heads, rule=len(shown.rows) if shown.sums else None
    )
    _footer(page, answer, what, left_out=len(answer.question.measures) - len(measures))
    return page.text()


class _Shown:
    """The cells of a table with some of its measures."""

    def __init__(self, answer: GroupedAnswer, measures: tuple[Measure, ...], bars: bool) -> None:
        self._answer = answer
        self._measures = measures
        first = measures[0]
        self._bars = bars and first.adds_up and bool(answer.total.values[first.name])
        titles = _key_titles(answer)
        heads = [title_lines(measure) for measure in measures]
        if self._bars:
            heads[1:1] = [("share", ""), ("", "")]
        upper = [*([""] * len(titles)), *(head[0] if head[1] else "" for head in heads)]
        # A head with one word stands on the lower line, next to its numbers.
        lower = [*titles, *(head[1] or head[0] for head in heads)]
        self.heads = [upper, lower] if any(upper) else [lower]
        self.align = "l" * len(titles) + ("rrl" if self._bars else "r") + "r" * (len(measures) - 1)
        shown = [row.values[first.name] or 0 for row in answer.rows] if self._bars else []
        self._largest = max(shown, default=0)
        self.rows = [
            [
                *(text for _, text in keys_cells(answer.question.keys, row.keys)),
                *self._values(row, drawn=True),
            ]
            for row in answer.rows
        ]
        self.sums: list[list[str]] = []
        blank = [""] * (len(titles) - 1)
        if answer.question.keys and answer.others is not None:
            self.sums.append(["others", *blank, *self._values(answer.others, drawn=False)])
        if answer.question.keys and (len(answer.rows) > 1 or answer.others is not None):
            self.sums.append(["total", *blank, *self._values(answer.total, drawn=False)])

    @property
    def width(self) -> int:
        """Characters of a line."""
        lines = [*self.heads, *self.rows, *self.sums]
        return sum(max(map(len, cells)) for cells in zip(*lines, strict=True)) + 2 * (len(self.align) - 1)

    def _values(self, row: GroupedRow, *, drawn: bool) -> list[str]:
        cells = [measure_cell(measure, row.values[measure.name]) for measure in self._measures]
        if not self._bars:
            return cells
        first = self._measures[0].name
        part, whole = row.values[first] or 0, self._answer.total.values[first]
        return [cells[0], share(part, whole), bar(part / self._largest) if drawn and part else "", *cells[1:]]


def _footer(page: Page, answer: GroupedAnswer, what: str, left_out: int) -> None:
    question = answer.question
    if not question.keys:
        return
    if not answer.groups:
        page.line("  no session passes the filter" if question.where else "  no session", "dim")
        return
    left = answer.passing - len(answer.rows)
    notes = []
    if question.having is not None:
        notes.append(f"{answer.passing:,} of {plural(answer.groups, what)} pass")
    if left:
        notes.append(f"{len(answer.rows):,} of {answer.passing:,} listed")
    if left_out:
        notes.append(f"{plural(left_out, 'column')} left out: the terminal is narrow")
    if notes:
        page.line("  " + "; ".join(notes), "dim")


def title_lines(measure: Measure) -> tuple[str, str]:
    """Return the head of a measure's column, a quotient on two lines."""
    name = measure.name
    short = {"/connection": "/conn"}
    if measure.below is not None and "/" in name and "(" not in name:
        above, _, below = name.partition("/")
        return above, short.get(f"/{below}", f"/{below}")
    if name.endswith("_share"):
        return name.removesuffix("_share"), "share"
    return name, ""


def _key_titles(answer: GroupedAnswer) -> list[str]:
    keys = answer.question.keys
    blank: Any = tuple(bytes(16) if key.metric.columns[0].endswith("_ip") else 0 for key in keys)
    return [title for title, _ in keys_cells(keys, blank)]


def bar(fraction: float, width: int = _BAR) -> str:
    """Return a bar of blocks for a fraction of one; something is drawn for whatever is above nothing."""
    eighths = max(1 if fraction > 0 else 0, round(fraction * width * 8))
    return "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")


def to_json(answer: GroupedAnswer) -> dict[str, Any]:
    """Return an answer as JSON values: durations in ns, sizes in bytes, addresses as text."""
    question = answer.question

    def values(row: GroupedRow) -> dict[str, Any]:
        return {measure.name: plain_value(row.values[measure.name]) for measure in question.measures}

    rows = [
        {key.name: plain_key(key, value) for key, value in zip(question.keys, row.keys, strict=True)}
        | values(row)
        for row in answer.rows
    ]
    return {
        "keys": [key.name for key in question.keys],
        "metrics": {m.name: {"unit": unit_of(m), "help": m.help} for m in question.measures},
        "rows": rows,
        "others": values(answer.others) if answer.others is not None else None,
        "total": values(answer.total),
        "groups": answer.groups,
        "passing": answer.passing,
        "notes": answer.notes,
    }


def render_json(answer: GroupedAnswer) -> str:
    """Return an answer as a JSON text."""
    return json.dumps(to_json(answer), indent=1, ensure_ascii=False) + "\n"


def render_csv(answer: GroupedAnswer) -> str:
    """Return an answer as CSV: the first column says whether a line is a group, the others or the total."""
    question = answer.question
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["row", *(key.name for key in question.keys), *(m.name for m in question.measures)])

    def line(kind: str, keys: list[Any], row: GroupedRow) -> None:
        writer.writerow([kind, *keys, *(plain_value(row.values[m.name]) for m in question.measures)])

    for row in answer.rows:
        keys = [plain_key(key, value) for key, value in zip(question.keys, row.keys, strict=True)]
        line("group", keys, row)
    blank = [None] * len(question.keys)
    if answer.others is not None:
        line("others", blank, answer.others)
    line("total", blank, answer.total)
    return out.getvalue()
