"""A watch on one screen: rates and how they went, what stands in the table, endings, causes and servers."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from lastack.model.units import NS_PER_S, format_duration, format_size

_ROWS = 8
_HISTORY = 40  # pictures, one a second
_BARS = "▁▂▃▄▅▆▇█"
_BAR = 12
#: Colours as in the report and on the pages: the normal end green, no red for a RST.
_COLOURS = {
    "closed": "green", "closed_rst": "green", "open": "bright_black", "half_closed": "magenta", "fin_rst": "yellow",
    "rst": "dark_orange", "vanished": "red", "never_opened": "blue",
}  # fmt: skip


class WatchScreen:
    """Makes pictures of a watch; remembers the last ones, for rates.

    Args:
        timeouts: Words for the timeouts that hold, shown under the numbers.
    """

    def __init__(self, timeouts: str) -> None:
        self._timeouts = timeouts
        self._before: tuple[float, ...] = (0.0, 0, 0, 0)
        self._rates: list[deque[float]] = [deque(maxlen=_HISTORY) for _ in range(3)]

    def render(self, row: Mapping[str, Any]) -> Group:
        """Return how a watch stands, from the values of its status and screen rows."""
        now = (row["seconds"], row["packets"], row["opened"], row["rows"])
        passed = max(now[0] - self._before[0], 1e-3)
        for history, value, before in zip(self._rates, now[1:], self._before[1:], strict=True):
            history.append((value - before) / passed)
        self._before = now
        head = Text.assemble(
            ("lastack watch ", "bold"), (row["name"], "bold cyan"),
            "" if row["up"] else (" (interface down)", "bold yellow"),
            f"   {format_duration(round(now[0]) * NS_PER_S)}   dataset {format_size(row['size'])} in "
            f"{row['segments']:,} segment{'' if row['segments'] == 1 else 's'}, {row['held']:,} rows wait",
        )  # fmt: skip
        parts: list[Any] = [head, Text(), self._table_of_rates(row), _standing(row), Text(), _endings(row)]
        if servers := row.get("servers"):
            parts += [Text(), _servers(servers)]
        parts += [Text(), Text(self._timeouts, style="bright_black")]
        if row["trouble"]:
            lost = f", {row['lost']:,} lost" if row["lost"] else ""
            parts.append(Text(f"the dataset cannot be written: {row['trouble']}{lost}", style="bold yellow"))
        if firing := row.get("firing"):
            parts.append(Text(f"alert: {', '.join(firing)}", style="bold yellow"))
        return Group(*parts)

    def _table_of_rates(self, row: Mapping[str, Any]) -> Table:
        table = Table(box=None, show_header=False, padding=(0, 2), pad_edge=False)
        for justify in ("left", "right", "right", "left", "left"):
            table.add_column(justify=justify)
        drops, evicted = row["drops"], row["evicted"]
        asides = (
            Text(f"{drops:,} dropped by the kernel", style="bold yellow" if drops else "bright_black"),
            Text(f"{evicted:,} evicted: the table was full", style="bold yellow") if evicted else Text(),
            Text(),
        )
        names = (("packets", row["packets"]), ("opened", row["opened"]), ("ended", row["rows"]))
        for (name, total), history, aside in zip(names, self._rates, asides, strict=True):
            table.add_row(
                name, f"{total:,}", f"{history[-1]:,.0f}/s", Text(_spark(history), style="cyan"), aside
            )
        return table


def _spark(history: deque[float]) -> str:
    """Return the last rates as a row of bars, the highest of them full."""
    most = max(history, default=0.0)
    steps = len(_BARS) - 1
    bars = "".join(_BARS[round(value / most * steps)] if most else _BARS[0] for value in history)
    return bars.rjust(_HISTORY)


def _standing(row: Mapping[str, Any]) -> Text:
    standing = row["standing"]
    oldest = row.get("oldest_s", 0.0)
    age = f" (oldest {format_duration(round(oldest) * NS_PER_S)})" if standing["half_closed"] else ""
    return Text.assemble(
        "now       ", (f"{standing['established']:,}", "bold"), " established   ",
        (f"{standing['half_closed']:,}", "bold magenta"), f" half-closed{age}   ",
        (f"{standing['half_open']:,}", "bold"), " half-open   ",
        (f"{standing['closed']:,}", "bold"), " just closed",
    )  # fmt: skip


def _endings(row: Mapping[str, Any]) -> Table:
    table = Table(box=None, padding=(0, 2), pad_edge=False, header_style="bright_black")
    for name, justify in (("how they ended", "left"), ("", "right"), ("", "right"), ("", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for name, justify in (("why", "left"), ("", "right"), ("", "right")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    endings, causes = _top(row["endings"]), _top(row["causes"])
    whole = sum(row["endings"].values()) or 1
    for number in range(max(len(endings), len(causes))):
        cells: list[Any] = ["", "", "", ""]
        if number < len(endings):
            name, count = endings[number]
            bar = Text("█" * max(1, round(count / whole * _BAR)), style=_COLOURS.get(name, ""))
            cells = [name.replace("_", " "), f"{count:,}", _share(count, whole), bar]
        if number < len(causes):
            name, count = causes[number]
            cells += [name.replace("_", " "), f"{count:,}", _share(count, whole)]
        table.add_row(*cells)
    return table


def _servers(servers: list[tuple[str, int, int]]) -> Table:
    table = Table(box=None, padding=(0, 2), pad_edge=False, header_style="bright_black")
    table.add_column("servers, last 5 min")
    table.add_column("sessions", justify="right")
    table.add_column("took harm", justify="right")
    for name, sessions, harmed in servers:
        bad = "bold yellow" if harmed * 5 >= sessions else ""
        table.add_row(name, f"{sessions:,}", Text(f"{harmed:,}" if harmed else "-", style=bad))
    return table


def _share(count: int, whole: int) -> str:
    share = 100 * count / whole
    return f"{share:.0f} %" if share >= 10 or not count else f"{share:.1f} %"


def _top(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_ROWS]


def timeout_words(timeouts: Mapping[str, int]) -> str:
    """Return a line that says after which silence sessions leave.

    Args:
        timeouts: Name of each class and its time, ns.
    """
    words = (f"{name} {format_duration(ns)}" for name, ns in timeouts.items())
    return "sessions leave after a silence of: " + ", ".join(words)
