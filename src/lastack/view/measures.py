"""The metrics and keys of grouped questions as lists for people and pages."""

from __future__ import annotations

from lastack.query.keys import ALIASES
from lastack.query.levels import LEVELS
from lastack.query.measure_text import CALLS
from lastack.query.metrics import METRICS, adds_up
from lastack.query.vocabulary import COUNTS, RATES, SHARES
from lastack.view.page import Page


def measure_lists() -> dict[str, list[tuple[str, str]]]:
    """Return what a metric can be, under a heading each: name and meaning."""
    amounts = [(name, metric.help) for name, metric in METRICS.items() if adds_up(metric)]
    return {
        "Counts of sessions": [
            (name, f"{help_}: `{where}`" if where else help_) for name, (where, help_) in COUNTS.items()
        ],
        "Shares": [(name, f"{help_}: `{a}/{b}`") for name, (a, b, help_) in SHARES.items()],
        "Quotients": [
            ("A/B", "any metric by any other; `/connection`, `/attempt` and `/session` for each of these"),
            *RATES.items(),
        ],
        "Calls": list(CALLS.items()),
        "Levels, for `lastack graph` alone": [(name, level.help) for name, level in LEVELS.items()],
        "Sums, of names that filters use too": [
            (name, help_) for name, help_ in amounts if not name.endswith(("_clt", "_srv", "_ns", "_uniq"))
        ],
    }


def key_list() -> list[tuple[str, str]]:
    """Return the short names of keys and what they stand for."""
    rows = [(name, ", ".join(f"`{part}`" for part in parts)) for name, parts in ALIASES.items()]
    return [
        *rows,
        ("time", "buckets of `--every 10s` by the first packet"),
        ("end_time", "the same by the last packet"),
    ]


def render_text() -> str:
    """Return the lists for a terminal."""
    page = Page()
    for title, rows in measure_lists().items():
        page.heading(title.replace("`", ""))
        page.grid([(name, text.replace("`", "")) for name, text in rows], "lt")
    page.heading("Keys", "any end, port, enum or text of `lastack fields`, and")
    page.grid([(name, text.replace("`", "")) for name, text in key_list()], "lt")
    return page.text()


def render_markdown() -> str:
    """Return the lists as the body of a reference page."""
    parts = []
    for title, rows in [*measure_lists().items(), ("Short names of keys", key_list())]:
        cells = "".join(f"| `{name}` | {text} |\n" for name, text in rows)
        parts.append(f"## {title}\n\n| name | meaning |\n| --- | --- |\n{cells}")
    return "\n".join(parts)
