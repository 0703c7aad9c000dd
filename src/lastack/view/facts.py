"""What the record of a session says, in a few lines: only what is there and worth knowing."""

from __future__ import annotations

from typing import Any

from lastack.model.fields import BY_NAME
from lastack.model.units import format_duration, format_size
from lastack.view.cells import UNKNOWN, offset, plural, words
from lastack.view.page import Page

_CLIENT_BY = {
    "syn": "",
    "synack": "the client is known by the SYN-ACK",
    "port": "the client is told by the ports",
    "guess": "who is the client is a guess",
}
_RST_SEQ = {
    "exact": "at exactly the expected number",
    "window": "inside the receiver's window",
    "outside": "outside the receiver's window",
    "unknown": "",
}
#: Counts of both ends: title, stem of the columns, whether a size in bytes.
_PAIRS = (
    ("packets", "packets", False),
    ("payload", "bytes", True),
    ("payload once", "new_bytes", True),
    ("retransmitted", "retx_packets", False),
    ("keepalives", "keepalives", False),
    ("SYN", "syn", False),
    ("SYN-ACK", "synack", False),
    ("FIN", "fin", False),
    ("RST", "rst", False),
    ("after own FIN", "bytes_after_fin", True),
    ("not acked", "unacked_bytes", True),
)


def add_facts(page: Page, row: dict[str, Any]) -> None:
    """Put the facts of a session's record on a page."""
    page.heading("Facts", "--record shows every field")
    told = (
        ("opened", _opened),
        ("closed", _closed),
        ("silent", _silent),
        ("called", _called),
        ("seen", _seen),
    )
    page.grid([[title, text] for title, make in told if (text := "; ".join(filter(None, make(row))))], "lt")
    _ends(page, row)


def _opened(row: dict[str, Any]) -> list[str]:
    text = words(row["opening"])
    parts = ((row["syn_to_synack_ns"], "SYN-ACK"), (row["synack_to_ack_ns"], "ACK"))
    steps = ", ".join(f"{format_duration(ns)} to the {what}" for ns, what in parts if ns is not None)
    if row["ct_ns"] is not None:
        text += f" in {format_duration(row['ct_ns'])}"
    if steps:
        text += f" ({steps})"
    return [text, _CLIENT_BY[row["client_by"]]]


def _closed(row: dict[str, Any]) -> list[str]:
    if row["ending"] == "never_opened" and row["first_rst_ns"] is None:
        return []

    def at(name: str) -> str:
        return offset(row[name] - row["start_ns"])

    parts = [words(row["ending"])]
    moments = (("first_fin_ns", "FIN"), ("second_fin_ns", "other FIN"), ("first_rst_ns", "RST"))
    times = [f"{title} at {at(name)}" for name, title in moments if row[name] is not None]
    if times:
        parts[0] += f": {', '.join(times)}"
    if row["half_closed_ns"]:
        text = f"half-closed by the {row['half_closed_by']} for {format_duration(row['half_closed_ns'])}"
        if row["half_closed_bytes"]:
            text += f" with {format_size(row['half_closed_bytes'])} the other way"
        parts.append(text)
    if row["first_rst_ns"] is not None:
        parts += _reset(row)
    return parts


def _reset(row: dict[str, Any]) -> list[str]:
    facts = [_RST_SEQ[row["rst_seq"]]]
    if row["rst_ttl_delta"] is not None:
        delta = row["rst_ttl_delta"]
        facts.append(f"TTL {delta:+d} against its sender's" if delta else "its sender's usual TTL")
    if row["rst_ipid_jump"] is not None:
        facts.append(f"IP-ID step {row['rst_ipid_jump']:+,d}")
    after = row["packets_after_rst"]
    told = ", ".join(filter(None, facts))
    later = ""
    if after:
        last_ns = max(row["end_ns"] - row["first_rst_ns"], 0)
        later = f"{plural(after, 'packet')} up to {format_duration(last_ns)} after it"
    return [f"the RST came {told}" if told else "", later]


def _silent(row: dict[str, Any]) -> list[str]:
    parts = []
    if row["max_idle_ns"] >= 1_000_000:
        parts.append(f"{format_duration(row['max_idle_ns'])} at most while established")
    if row["idle_before_close_ns"]:
        parts.append(f"{format_duration(row['idle_before_close_ns'])} before the first FIN or RST")
    if row["half_closed_max_gap_ns"]:
        parts.append(f"{format_duration(row['half_closed_max_gap_ns'])} at most while half-closed")
    return parts


def _called(row: dict[str, Any]) -> list[str]:
    boxes = (
        ("PAN-OS", "end_panos"),
        ("ASA", "end_asa"),
        ("FortiGate", "end_fortigate"),
        ("IPFIX", "end_ipfix"),
    )
    names = [f"Zeek {row['conn_state']} {row['history']}", f"Wireshark completeness {row['completeness']}"]
    return [*names, *(f"{title} {row[name]}" for title, name in boxes if row[name] != "unknown")]


def _seen(row: dict[str, Any]) -> list[str]:
    parts = [f"by {row['sensor']} from packet {row['first_packet']:,}", words(row["observed"])]
    if row["encap"] != "none":
        parts.append(f"inside {row['encap']}")
    if row["vlan"]:
        parts.append(f"VLAN {row['vlan']}")
    if row["client_zone"] or row["server_zone"]:
        parts.append(f"zones {row['client_zone'] or UNKNOWN} → {row['server_zone'] or UNKNOWN}")
    if row["app"] != "unclassified":
        parts.append(f"application {row['app']}")
    if row["previous_id"]:
        parts.append(f"after session {row['previous_id']} of the same ends")
    return parts


def _ends(page: Page, row: dict[str, Any]) -> None:
    titles = ["", "state"]
    clt, srv = ["client", row["state_clt"]], ["server", row["state_srv"]]
    for title, stem, sized in _PAIRS:
        values = (row[f"{stem}_clt"], row[f"{stem}_srv"])
        if not any(values) or (stem == "new_bytes" and values == (row["bytes_clt"], row["bytes_srv"])):
            continue
        titles.append(title)
        for cells, number in zip((clt, srv), values, strict=True):
            cells.append(UNKNOWN if not number else format_size(number) if sized else f"{number:,}")
    page.line()
    columns = list(zip(titles, clt, srv, strict=True))
    if 2 + sum(2 + max(map(len, column)) for column in columns) <= page.width + 2:
        page.grid([clt, srv], "ll" + "r" * (len(titles) - 2), titles)
    else:
        page.grid(columns[1:], "lrr", columns[0])


assert all(f"{stem}_clt" in BY_NAME for _, stem, _ in _PAIRS), "every pair is of the record"
