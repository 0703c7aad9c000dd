"""Two periods side by side: what changed by more than chance explains."""

from __future__ import annotations

from typing import Any

from lastack.app.compare import Period, compare
from lastack.query.keys import parse_keys
from lastack.query.metrics import METRICS, Kind
from lastack.query.parse import parse_filter
from lastack.query.series import all_of
from lastack.view.compare import rate_text, ratio_text, surely_text, to_rows, where_text
from lastack.view.quantities import measure_cell, plain_key
from lastack.web.endpoint import Ask, Endpoint
from lastack.web.params import FILTER, BadParameterError, Param

_MOST = 200


def compared(ask: Ask) -> dict[str, Any]:
    """Return both periods as a whole, and the changes, those of most sessions first."""
    node = ask.where
    sides = []
    for name in ("before", "after"):
        since, until = ask.values[f"{name}_from"], ask.values[f"{name}_to"]
        if until <= since:
            raise BadParameterError(f"{name}_to", f"{name}_to: this time is not after {name}_from")
        cut = parse_filter(f"end_ns >= {since} and end_ns < {until}")
        sides.append(Period(name, ask.snapshot.source, all_of(cut, node), (until - since) / 1e9))
    by = [ask.values["by"]] if ask.values["by"] else []
    found = compare(sides[0], sides[1], ask.values["metrics"] or "", by)
    rows = to_rows(found)[:_MOST]
    for row, change in zip(rows, found.changes, strict=False):
        item = change.compared
        row |= {
            "place": where_text(item),
            "before_text": rate_text(item, item.counts.before, item.counts.before_base),
            "after_text": rate_text(item, item.counts.after, item.counts.after_base),
            "ratio_text": ratio_text(change.ratio),
            "surely_text": surely_text(change),
            "filter": _filter(item.keys, item.group),
        }
    summary = [
        {"metric": m.name, "help": m.help, **{
            side: measure_cell(m, answer.total.values[m.name])
            for side, answer in zip(("before", "after"), found.summary, strict=True)
        }}
        for m in found.summary[0].question.measures
    ]  # fmt: skip
    return {
        "seconds": list(found.seconds),
        "summary": summary,
        "comparisons": found.tried,
        "changed": len(found.changes),
        "changes": rows,
        "notes": found.notes,
    }


def _filter(names: tuple[str, ...], group: tuple[Any, ...]) -> str:
    terms = []
    for key, value in zip(parse_keys(",".join(names)) if names else (), group, strict=True):
        plain = plain_key(key, value)
        if plain is None or plain == "":
            continue
        quoted = f'"{plain}"' if METRICS[key.metric.name].kind is Kind.text else plain
        terms.append(f"{key.metric.name} = {quoted}")
    return " and ".join(terms)


def _time(name: str, help_: str) -> Param:
    return Param(name, "time", help_, required=True)


ENDPOINTS = (
    Endpoint(
        "/compare",
        "What changed between two periods, ranked by the sessions that the change means",
        compared,
        (
            FILTER,
            _time("before_from", "Begin of the first period."),
            _time("before_to", "End of the first period."),
            _time("after_from", "Begin of the second period."),
            _time("after_to", "End of the second period."),
            Param("metrics", "text", "Counts, or a count by a count; the usual ones if not given."),
            Param("by", "text", "Keys; the usual ones, each by itself, if not given.", example="service"),
        ),
    ),
)
