"""The expected rows that come with the real captures, put into the words of the session record.

Matched by addresses, ports and time of the first packet.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "captures"

STATES = {"?": "UNKNOWN", "SYN_RCVD": "SYN_RECEIVED"}
CLOSERS = {"": "none", "clt": "client", "srv": "server"}
#: their `open` -> the openings of ours that it may be
OPENINGS = {
    "full": {"established"},
    "no-final-ack": {"half_open"},
    "no-synack": {"established"},
    "refused": {"refused"},
    "unanswered": {"unanswered"},
    "midstream": {"midstream", "stray"},
}
COUNTS = {
    f"{ours}_{side}": f"{theirs}_{side}"
    for ours, theirs in [
        ("packets", "pkts"), ("bytes", "bytes"), ("new_bytes", "new_bytes"), ("syn", "syn"),
        ("synack", "synack"), ("fin", "fin"), ("rst", "rst"), ("bytes_after_fin", "bytes_beyond_own_fin"),
    ]
    for side in ("clt", "srv")
}  # fmt: skip
COUNTS |= {"fin_clt_uniq": "fin_clt_uniq", "fin_srv_uniq": "fin_srv_uniq", "half_closed_bytes": "hc_bytes"}
TIMES = {
    "start_ns": "t_first",
    "end_ns": "t_last",
    "first_fin_ns": "t_fin1",
    "second_fin_ns": "t_fin2",
    "first_rst_ns": "t_rst1",
}
TICK_NS = 1_000  # their times are floats of seconds


def names() -> list[str]:
    """Return the captures that have expected rows, none without the folder."""
    if not FOLDER.is_dir():
        return []
    with (FOLDER / "index.csv").open() as file:
        return [row["name"] for row in csv.DictReader(file)]


def rows(name: str) -> list[dict[str, str]]:
    """Return the expected rows of a capture as they stand."""
    with (FOLDER / "expected" / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


def differences(ours: list[dict[str, Any]], name: str) -> list[str]:
    """Return what differs between our rows of a capture and the expected ones, each as one line."""
    waiting = list(ours)
    found = []
    for theirs in rows(name):
        row = next((r for r in waiting if _same(r, theirs)), None)
        if row is None:
            found.append(f"no row for {theirs['clt_addr']}:{theirs['clt_port']} at {theirs['t_first']}")
            continue
        waiting.remove(row)
        found.extend(f"{theirs['clt_addr']}:{theirs['clt_port']} {line}" for line in _compare(row, theirs))
    return found + [f"one row more: {row['client_ip']}:{row['client_port']}" for row in waiting]


def _ends(row: dict[str, Any]) -> tuple[tuple[str, int], tuple[str, int]]:
    return (row["client_ip"], row["client_port"]), (row["server_ip"], row["server_port"])


def _near(ns: int | None, seconds: str) -> bool:
    if ns is None or seconds == "":
        return ns is None and seconds == ""
    return abs(ns - float(seconds) * 1e9) <= TICK_NS


def _same(row: dict[str, Any], theirs: dict[str, str]) -> bool:
    pair = (theirs["clt_addr"], int(theirs["clt_port"])), (theirs["srv_addr"], int(theirs["srv_port"]))
    return set(_ends(row)) == set(pair) and _near(row["start_ns"], theirs["t_first"])


def _compare(row: dict[str, Any], theirs: dict[str, str]) -> Iterator[str]:
    def check(field: str, expected: Any) -> Iterator[str]:
        if row[field] != expected:
            yield f"{field}: {row[field]!r}, expected {expected!r}"

    yield from check("client_ip", theirs["clt_addr"])
    yield from check("client_port", int(theirs["clt_port"]))
    for field, column in COUNTS.items():
        yield from check(field, int(theirs[column]))
    for field, column in TIMES.items():
        if not _near(row[field], theirs[column]):
            yield f"{field}: {row[field]}, expected {theirs[column]}"
    for field in ("close_order", "conn_state", "history"):
        yield from check(field, theirs[field])
    yield from check("half_closed_by", CLOSERS[theirs["half_closed_by"]])
    if not _near(row["half_closed_ns"], theirs["half_closed_for"]):
        yield f"half_closed_ns: {row['half_closed_ns']}, expected {theirs['half_closed_for']}"
    if row["opening"] not in OPENINGS[theirs["open"]]:
        yield f"opening: {row['opening']}, expected {theirs['open']}"
    yield from check("ct_count", int(theirs["handshake_complete"] == "True"))
    if theirs["open"] != "no-synack" and row["opening"] != "stray":
        # One way: they leave the client in SYN_SENT, we call it established.
        # Strays: they say ESTABLISHED, we do not know.
        yield from check("state_clt", STATES.get(theirs["state_clt"], theirs["state_clt"]))
        yield from check("state_srv", STATES.get(theirs["state_srv"], theirs["state_srv"]))
