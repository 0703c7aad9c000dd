"""Everything about one session, grouped, with the verdict first; every field of the record is on the page."""

from __future__ import annotations

from typing import Any

from lastack.model.fields import BY_NAME
from lastack.model.units import format_duration
from lastack.view.cells import UNKNOWN, endpoint, instant, value
from lastack.view.page import Page
from lastack.view.verdict import verdict

#: Groups of single values, in the order of a session's life.
GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Verdict", ("cause", "cause_confidence", "actor", "phase", "harm", "observed")),
    ("Opening", ("opening", "ct_count", "ct_ns", "syn_to_synack_ns", "synack_to_ack_ns", "client_by")),
    (
        "Close",
        (
            "ending", "first_closer", "close_order", "first_fin_ns", "second_fin_ns", "closed_ns", "first_rst_ns",
            "half_closed_by", "half_closed_ns", "half_closed_bytes", "half_closed_max_gap_ns", "packets_after_rst",
            "idle_before_close_ns", "max_idle_ns", "rst_seq", "rst_ttl_delta", "rst_ipid_jump",
        ),
    ),
    (
        "In others' words",
        ("conn_state", "history", "completeness", "end_panos", "end_asa", "end_fortigate", "end_ipfix"),
    ),
    (
        "Where",
        (
            "sensor", "first_packet", "encap", "vlan", "client_zone", "server_zone", "app", "session_id",
            "previous_id",
        ),
    ),
)  # fmt: skip
#: Values that both ends have: stem, client's column, server's column.
PAIRS: tuple[tuple[str, str, str], ...] = (
    *(
        (stem, f"{stem}_clt", f"{stem}_srv")
        for stem in (
            "state", "packets", "bytes", "new_bytes", "retx_packets", "syn", "synack", "fin", "rst", "bytes_after_fin",
            "unacked_bytes", "keepalives",
        )
    ),
    ("fin uniq", "fin_clt_uniq", "fin_srv_uniq"),
)  # fmt: skip
#: What the heading and the last section show.
ELSEWHERE = (
    "client_ip",
    "client_port",
    "server_ip",
    "server_port",
    "start_ns",
    "end_ns",
    "gaps",
    "marks",
    "evidence",
)


def render_session(row: dict[str, Any], width: int | None = None, colour: bool | None = None) -> str:
    """Return the page of one session.

    Args:
        row: All fields of the record, as `to_pylist` gives them.
        width: Characters of a line.
        colour: Show colours.
    """
    page = Page(width, colour)
    client = endpoint(row["client_ip"], row["client_port"])
    server = endpoint(row["server_ip"], row["server_port"])
    page.heading(f"{client} → {server}", f"session {row['session_id']}")
    lasted = format_duration(max(0, row["end_ns"] - row["start_ns"]))
    page.say(f"{instant(row['start_ns'])} to {instant(row['end_ns'])} UTC ({lasted})")
    page.say(verdict(row))
    for title, names in GROUPS:
        page.heading(title)
        page.grid([[name, _shown(row, name), BY_NAME[name].help] for name in names], "llt")
    page.heading("Both ends")
    rows = [
        [stem, value(clt, row[clt]), value(srv, row[srv]), BY_NAME[clt].help.removesuffix(" (client)")]
        for stem, clt, srv in PAIRS
    ]
    page.grid(rows, "lrrt", ["", "client", "server", ""])
    _silences(page, row)
    return page.text()


def _shown(row: dict[str, Any], name: str) -> str:
    raw = row[name]
    if name in ("first_fin_ns", "second_fin_ns", "closed_ns", "first_rst_ns"):
        if raw is None:
            return UNKNOWN
        return f"+{format_duration(raw - row['start_ns'])}"
    if name == "ct_count":
        return "yes" if raw else "no"
    return value(name, raw)


def _silences(page: Page, row: dict[str, Any]) -> None:
    if not row["gaps"]:
        return
    page.heading("Longest silences", "each longer than those before it in the same phase")
    rows = [
        [
            gap["phase"],
            f"+{format_duration(gap['start_ns'] - row['start_ns'])}",
            format_duration(gap["gap_ns"]),
            f"{gap['bytes_clt']:,}",
            f"{gap['bytes_srv']:,}",
        ]
        for gap in row["gaps"]
    ]
    page.grid(rows, "lrrrr", ["phase", "began", "lasted", "client sent", "server sent"])
