"""The live view of an emulated box, and its sessions as a table."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from lastack.emulator.status import Status
from lastack.model.units import format_duration


def live_table(status: Status) -> Table:
    """Return the state of a box as a table for a terminal."""
    table = Table(title=f"{status.live:,} sessions after {status.seconds:,.0f} s", box=None, pad_edge=False)
    for head, justify in (
        ("sessions", "left"),
        ("", "right"),
        ("  segments", "left"),
        ("", "right"),
        ("  ended", "left"),
        ("", "right"),
    ):
        table.add_column(head, justify=justify)  # type: ignore[arg-type]
    phases = [(name, f"{n:,}") for name, n in status.phases.items()]
    packets = [
        (f"  {action} {reason.replace('_', ' ')}", f"{n:,}")
        for (action, reason), n in sorted(status.packets.items())
    ]
    packets += [(f"  {name.replace('_', ' ')}", f"{n:,}") for name, n in status.counts.items() if n]
    ended = [(f"  {why}", f"{n:,}") for why, n in sorted(status.ended.items())]
    nothing = ("", "")
    for place in range(max(len(phases), len(packets), len(ended), 1)):
        cells = [
            cell
            for column in (phases, packets, ended)
            for cell in (column[place] if place < len(column) else nothing)
        ]
        table.add_row(*cells)
    return table


def sessions_text(rows: list[dict[str, Any]]) -> str:
    """Return the sessions of a box as text, the ones that end first in front."""
    if not rows:
        return "no sessions\n"
    heads = ("from", "to", "phase", "timer", "application", "age", "silent", "left")
    cells = [
        (
            row["from"],
            row["to"],
            row["phase"],
            row["timer"],
            row["application"],
            format_duration(row["age_ns"]),
            format_duration(row["silent_ns"]),
            "no limit" if row["left_ns"] is None else format_duration(row["left_ns"]),
        )
        for row in rows
    ]
    return _columns([heads, *cells])


def mappings_text(rows: list[dict[str, Any]]) -> str:
    """Return the translations of a NAT as text, in the order in which they were made."""
    if not rows:
        return "no mappings\n"
    heads = ("from", "outside", "to")
    return _columns([heads, *(tuple(row[head] for head in heads) for row in rows)])


def _columns(lines: list[tuple[str, ...]]) -> str:
    widths = [max(len(line[place]) for line in lines) for place in range(len(lines[0]))]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() + "\n"
        for line in lines
    )
