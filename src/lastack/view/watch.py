"""A watch on one screen: rates, what stands in the table, endings and causes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from lastack.model.units import NS_PER_S, format_duration, format_size

_ROWS = 8


class WatchScreen:
    """Makes pictures of a watch; remembers the last one, for rates.

    Args:
        timeouts: Words for the timeouts that hold, shown under the numbers.
    """

    def __init__(self, timeouts: str) -> None:
        self._timeouts = timeouts
        self._before: tuple[float, int, int, int] = (0.0, 0, 0, 0)

    def render(self, row: Mapping[str, Any]) -> Group:
        """Return how a watch stands, from the values of its status row."""
        seconds, packets, opened, rows = row["seconds"], row["packets"], row["opened"], row["rows"]
        then = self._before
        passed = max(seconds - then[0], 1e-3)
        rates = [
            (now - before) / passed for now, before in zip((packets, opened, rows), then[1:], strict=True)
        ]
        self._before = (seconds, packets, opened, rows)
        head = Text.assemble(
            ("lastack watch ", "bold"), row["name"], "" if row["up"] else (" (interface down)", "yellow"),
            f"   {format_duration(round(seconds) * NS_PER_S)}   {packets:,} packets ({rates[0]:,.0f}/s)   ",
            (f"{row['drops']:,} dropped", "yellow" if row["drops"] else ""),
        )  # fmt: skip
        standing = row["standing"]
        table = Table(box=None, show_header=False, padding=(0, 2))
        table.add_row(
            f"opened {opened:,} ({rates[1]:,.1f}/s)", f"ended {rows:,} ({rates[2]:,.1f}/s)",
            f"evicted {row['evicted']:,}",
        )  # fmt: skip
        table.add_row(
            f"established {standing['established']:,}", f"half-closed {standing['half_closed']:,}",
            f"half-open {standing['half_open']:,}", f"just closed {standing['closed']:,}",
        )  # fmt: skip
        tops = Table(box=None, padding=(0, 3))
        for name in ("ending", "", "cause", " "):
            tops.add_column(name, justify="left" if name.strip() else "right")
        endings, causes = _top(row["endings"]), _top(row["causes"])
        for number in range(max(len(endings), len(causes))):
            left = endings[number] if number < len(endings) else ("", "")
            right = causes[number] if number < len(causes) else ("", "")
            tops.add_row(*left, *right)
        foot = Text(
            f"dataset: {row['segments']:,} segments, {format_size(row['size'])}, {row['held']:,} rows wait\n"
            f"{self._timeouts}",
            style="dim",
        )
        parts: list[Any] = [head, table, tops, foot]
        if row["trouble"]:
            lost = f", {row['lost']:,} lost" if row["lost"] else ""
            parts.append(Text(f"the dataset cannot be written: {row['trouble']}{lost}", style="bold yellow"))
        return Group(*parts)


def _top(counts: Mapping[str, int]) -> list[tuple[str, str]]:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [(name, f"{count:,}") for name, count in ordered[:_ROWS]]


def timeout_words(timeouts: Mapping[str, int]) -> str:
    """Return a line that says after which silence sessions leave.

    Args:
        timeouts: Name of each class and its time, ns.
    """
    words = (f"{name} {format_duration(ns)}" for name, ns in timeouts.items())
    return "sessions leave after a silence of: " + ", ".join(words)
