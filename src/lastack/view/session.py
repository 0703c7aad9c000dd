"""One session on a page: the verdict, its proof, the ladder of its packets, and what the record says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lastack.diagnosis.verdict import Verdict
from lastack.model.units import format_duration
from lastack.tracking.ladder import Fold, Rung
from lastack.view.cells import endpoint, instant
from lastack.view.facts import add_facts
from lastack.view.ladder import ladder_lines
from lastack.view.page import Page
from lastack.view.record import add_record
from lastack.view.verdict import add_verdict

#: What stands in for a sign where only ASCII can be shown; as long as the sign, so that columns stay.
_ASCII = str.maketrans(
    {
        "│": "|", "├": "|", "┤": "|", "─": "-", "►": ">", "◄": "<", "┊": ":", "╌": "~", "·": ".", "●": "*",
        "⋮": ":", "→": ">", "←": "<", "…": "~", "–": "-", "µ": "u", "≥": ">", "×": "x",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Look:
    """How a page looks.

    Attributes:
        width: Characters of a line, None for those of the terminal.
        colour: Show colours, None to show them on a terminal.
        ascii: Use nothing but ASCII.
        record: Show every field of the record instead of a few lines.
    """

    width: int | None = None
    colour: bool | None = None
    ascii: bool = False
    record: bool = False


def render_session(
    row: dict[str, Any],
    verdict: Verdict,
    steps: Sequence[Rung | Fold] | None = None,
    captures: Sequence[str] = (),
    look: Look | None = None,
) -> str:
    """Return the page of one session.

    Args:
        row: All fields of the record, as `to_pylist` gives them.
        verdict: What the rules say of it.
        steps: Its packets, None where they could not be read.
        captures: Captures that the packets are from, in the order in which they were read.
        look: How it looks.
    """
    look = look or Look()
    page = Page(look.width, look.colour)
    client = endpoint(row["client_ip"], row["client_port"])
    server = endpoint(row["server_ip"], row["server_port"])
    title, name = f"{client} → {server}", f"session {row['session_id']}"
    fits = len(title) + 2 + len(name) <= page.width
    page.heading(title if len(title) <= page.width else f"{client} →", name if fits else "")
    if len(title) > page.width:
        page.say(server)
    if not fits:
        page.say(name)
    lasted = format_duration(max(0, row["end_ns"] - row["start_ns"]))
    page.say(f"{instant(row['start_ns'])} to {instant(row['end_ns'])} UTC ({lasted})")
    flags = {
        step.packet: " ".join(step.flag_names) if step.icmp is None else "ICMP"
        for step in steps or ()
        if isinstance(step, Rung)
    }
    add_verdict(page, verdict, row["start_ns"], flags)
    if steps is not None:
        page.heading("Ladder", "numbers relative to each end's first; time from the first packet")
        if len(captures) > 1:
            page.say(", ".join(f"{chr(65 + rank % 26)}: {name}" for rank, name in enumerate(captures)))
        proof = {item.packet for item in verdict.proof if item.packet}
        for line in ladder_lines(steps, page.width, page.colour, proof, captures):
            page.line(line)
    if look.record:
        add_record(page, row)
    else:
        add_facts(page, row)
    text = page.text()
    return text.translate(_ASCII).encode("ascii", "replace").decode() if look.ascii else text
