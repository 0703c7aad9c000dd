"""A comparison for people and programs: both periods as a whole, then what changed, the most sessions first."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from typing import Any

from lastack.model.units import format_duration
from lastack.query.compare import SECOND, Change, Compared, Comparison
from lastack.query.keys import ALIASES, parse_keys
from lastack.view.page import Page
from lastack.view.quantities import keys_cells, measure_cell, plain_key, plain_value
from lastack.view.table import table_width


def render_text(found: Comparison, top: int, colour: bool | None = None) -> str:
    """Return the page.

    Args:
        found: The comparison.
        top: Changes to list.
        colour: Show styles; by default only on a terminal.
    """
    page = Page(table_width(sys.stdout), colour)
    heads = ["", found.before, found.after]
    rows = [["lasted", *(format_duration(round(s * 1e9)) for s in found.seconds)]]
    for measure in found.summary[0].question.measures:
        values = [side.total.values[measure.name] for side in found.summary]
        rows.append([measure.name, *(measure_cell(measure, value) for value in values)])
    page.table(rows, "lrr", [heads])
    page.line()
    if not found.changes:
        page.line(f"Nothing changed by more than chance explains ({found.tried:,} comparisons).")
        return page.text()
    page.line("What changed, the most sessions first", "head")
    changes = [
        [
            change.compared.what,
            where_text(change.compared),
            rate_text(change.compared, change.compared.counts.before, change.compared.counts.before_base),
            rate_text(change.compared, change.compared.counts.after, change.compared.counts.after_base),
            ratio_text(change.ratio),
            surely_text(change),
            f"{change.sessions:+,.0f}",
        ]
        for change in found.changes[:top]
    ]
    titles = ["", "where", found.before, found.after, "change", "surely", "sessions"]
    page.table(changes, "llrrrrr", [titles])
    page.line()
    page.say(
        f"{min(top, len(found.changes)):,} of {len(found.changes):,} changes that {found.tried:,} comparisons found; "
        "*sessions* is how many more (or fewer) there are, at least, than the other period's rate explains, with "
        "95 % confidence for the whole list.",
        "",
        style="dim",
    )
    return page.text()


def where_text(item: Compared) -> str:
    """Return where something was counted, such as `server 10.0.0.5:443`."""
    if not item.keys:
        return "everywhere"
    keys = parse_keys(",".join(item.keys))
    cells = keys_cells(keys, item.group)
    if item.keys == ALIASES["zones"]:
        return f"{cells[0][1]} → {cells[1][1]}"
    return " ".join(f"{title} {text}" for title, text in cells)


def rate_text(item: Compared, count: int, base: float) -> str:
    """Return a count with its rate: `12 % of 840`, or `3.4/s`."""
    if item.base == SECOND:
        return f"{count:,} ({_short(count / base)}/s)"
    if base == 0:
        return "0 of 0"
    share = 100 * count / base
    return f"{_short(share)} % of {base:,.0f}"


def ratio_text(ratio: float) -> str:
    """Return a ratio of rates: `×12`, `÷3.5`, `new`, `gone`."""
    if math.isinf(ratio):
        return "new"
    if ratio == 0:
        return "gone"
    return f"×{_short(ratio)}" if ratio >= 1 else f"÷{_short(1 / ratio)}"


def surely_text(change: Change) -> str:
    """Return the end of the interval that is nearest to no change."""
    return ratio_text(change.low if change.low > 1 else change.high)


def _short(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def to_rows(found: Comparison) -> list[dict[str, Any]]:
    """Return the changes as plain values."""
    rows = []
    for change in found.changes:
        item = change.compared
        keys = parse_keys(",".join(item.keys))
        rows.append(
            {
                "what": item.what,
                "of": item.base,
                "where": {k.name: plain_key(k, v) for k, v in zip(keys, item.group, strict=True)},
                "before": item.counts.before,
                "before_of": item.counts.before_base,
                "after": item.counts.after,
                "after_of": item.counts.after_base,
                "ratio": plain_value(change.ratio),
                "ratio_low": plain_value(change.low),
                "ratio_high": plain_value(change.high),
                "sessions": change.sessions,
            }
        )
    return rows


def render_json(found: Comparison) -> str:
    """Return the comparison as a JSON text."""

    def whole(index: int) -> dict[str, Any]:
        values = found.summary[index].total.values
        return {"seconds": found.seconds[index], **{k: plain_value(v) for k, v in values.items()}}

    document = {
        "before": {"name": found.before, **whole(0)},
        "after": {"name": found.after, **whole(1)},
        "comparisons": found.tried,
        "changes": to_rows(found),
        "notes": found.notes,
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def render_csv(found: Comparison) -> str:
    """Return the changes as CSV; `where` is `key=value` pairs with spaces between."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    names = [
        "what",
        "of",
        "where",
        "before",
        "before_of",
        "after",
        "after_of",
        "ratio",
        "ratio_low",
        "ratio_high",
        "sessions",
    ]
    writer.writerow(names)
    for row in to_rows(found):
        where = " ".join(f"{key}={value}" for key, value in row["where"].items())
        writer.writerow([where if name == "where" else row[name] for name in names])
    return out.getvalue()
