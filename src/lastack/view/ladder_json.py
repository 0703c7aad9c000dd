"""A ladder as JSON values: one object a packet, one for each folded stretch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lastack.model.enums import EndpointState
from lastack.tracking.ladder import Fold, Rung


def ladder_json(steps: Sequence[Rung | Fold], captures: Sequence[str]) -> list[dict[str, Any]]:
    """Return the steps of a ladder; `kind` is `packet`, `icmp` or `fold`.

    Args:
        steps: Packets and folded stretches, in order.
        captures: Captures that the packets are from, in the order in which they were read.
    """
    return [_fold(step) if isinstance(step, Fold) else _rung(step, captures) for step in steps]


def _rung(rung: Rung, captures: Sequence[str]) -> dict[str, Any]:
    values: dict[str, Any] = {
        "kind": "packet" if rung.icmp is None else "icmp",
        "packet": rung.packet,
        "capture": captures[rung.capture] if rung.capture < len(captures) else None,
        "time_ns": rung.time_ns,
        "since_ns": rung.since_ns,
        "silence_ns": rung.silence_ns,
        "from": "client" if rung.from_client else "server",
        "flags": list(rung.flag_names),
        "seq": rung.seq,
        "ack": rung.ack,
        "payload": rung.payload,
        "window": rung.window,
        "window_scaled": rung.scaled,
        "ttl": rung.ttl,
        "ipid": rung.ipid,
        "state_client": _state(rung.state_clt),
        "state_server": _state(rung.state_srv),
        "phase": rung.phase.name,
        "marks": list(rung.marks),
    }
    if rung.icmp is not None:
        # what an ICMP error tells of is the segment that it quotes; the rest of that segment is not there
        values |= {"from": None, "quotes": values["from"], "type": rung.icmp[0], "code": rung.icmp[1]}
        for name in ("flags", "payload", "window", "window_scaled", "ttl", "ipid"):
            del values[name]
    return values


def _state(state: EndpointState) -> str | None:
    return None if state is EndpointState.UNKNOWN else state.name


def _fold(fold: Fold) -> dict[str, Any]:
    return {
        "kind": "fold",
        "packets_client": fold.packets_clt,
        "packets_server": fold.packets_srv,
        "bytes_client": fold.bytes_clt,
        "bytes_server": fold.bytes_srv,
        "again": fold.retx,
        "keepalives": fold.keepalives,
        "lasted_ns": fold.lasted_ns,
        "longest_silence_ns": fold.silence_ns,
    }
