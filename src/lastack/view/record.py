"""The whole record of one session with what each field means: nothing is left out, nothing is summed up."""

from __future__ import annotations

from typing import Any

from lastack.model.fields import BY_NAME, EVIDENCE_MEMBERS
from lastack.model.units import format_duration
from lastack.view.cells import UNKNOWN, offset, value
from lastack.view.page import Page

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
    "retries",
    "evidence",
)


def add_record(page: Page, row: dict[str, Any]) -> None:
    """Put every field of a session's record on a page.

    Args:
        page: The page.
        row: All fields of the record, as `to_pylist` gives them.
    """
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
    _marks(page, row)
    _retries(page, row)
    _evidence(page, row)


def _shown(row: dict[str, Any], name: str) -> str:
    raw = row[name]
    if name in ("first_fin_ns", "second_fin_ns", "closed_ns", "first_rst_ns"):
        if raw is None:
            return UNKNOWN
        return offset(raw - row["start_ns"])
    if name == "ct_count":
        return "yes" if raw else "no"
    return value(name, raw)


def _silences(page: Page, row: dict[str, Any]) -> None:
    if not row["gaps"]:
        return
    note = "each longer than those before it in the same phase and state, or ended by a close"
    page.heading("Longest silences", note)
    rows = [
        [
            gap["phase"],
            offset(gap["start_ns"] - row["start_ns"]),
            format_duration(gap["gap_ns"]),
            f"{gap['bytes_clt']:,}",
            f"{gap['bytes_srv']:,}",
            f"{gap['next'].replace('_', '-')} of {gap['next_by']}",
        ]
        for gap in row["gaps"]
    ]
    page.grid(rows, "lrrrrl", ["phase", "began", "lasted", "client sent", "server sent", "ended by"])


def _marks(page: Page, row: dict[str, Any]) -> None:
    if not row["marks"]:
        return
    page.heading(
        "While half-closed", "what had been sent before each silence, by the time since the first FIN"
    )
    rows = [
        [
            format_duration(mark["since_ns"]),
            format_duration(mark["age_ns"]),
            f"{mark['bytes_clt']:,} bytes",
            f"{mark['bytes_srv']:,} bytes",
        ]
        for mark in row["marks"]
    ]
    page.grid(rows, "rrrr", ["from", "to", "client", "server"])


def _retries(page: Page, row: dict[str, Any]) -> None:
    if not row["retries"]:
        return
    page.heading("While opening", "what came again before the handshake was over")
    rows = [
        [offset(one["ns"] - row["start_ns"]), one["by"], one["kind"].replace("_", "-").upper()]
        for one in row["retries"]
    ]
    page.grid(rows, "rll", ["came", "by", "what"])


def _evidence(page: Page, row: dict[str, Any]) -> None:
    for entry in row["evidence"]:
        page.heading("Evidence", "packet numbers are those of the capture, 0 for none")
        rows = []
        for member in EVIDENCE_MEMBERS:
            raw = entry[member.name]
            if member.unit == "ns since epoch" and raw is not None:
                text = offset(raw - row["start_ns"])
            else:
                text = UNKNOWN if raw is None else str(raw)
            rows.append([member.name, text, member.help])
        page.grid(rows, "llt")
