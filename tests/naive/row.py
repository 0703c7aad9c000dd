"""From a session to its row: identity, counts, opening times and RST facts (sections 3 and 4)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from tests.naive.closing import closing_fields
from tests.naive.evidence import evidence, marks, retries
from tests.naive.packets import ACK, FIN, RST, SYN
from tests.naive.seen import gaps, lossy, max_idle_ns, unacked_bytes
from tests.naive.session import Event, Session
from tests.naive.verdicts import (
    Roles,
    completeness,
    conn_state,
    ending,
    history,
    is_established,
    observed,
    opening,
    phase,
    states,
)


def row_of(session: Session) -> dict[str, Any]:
    """Return the row of a session: the names and words of the real record, times as integers."""
    events = session.events
    first = events[0].packet
    client, client_by = client_of(session)
    roles = Roles(session, client)
    ends = (session.low, session.high)
    row: dict[str, Any] = {
        "client_ip": ends[client][0],
        "client_port": ends[client][1],
        "server_ip": ends[1 - client][0],
        "server_port": ends[1 - client][1],
        "client_by": client_by,
        "encap": first.encap,
        "vlan": first.vlan,
        "app": "unclassified",
        "start_ns": first.ts_ns,
        "end_ns": events[-1].latest_ns,
        "first_packet": first.number,
        "previous": session.previous,
    }
    for side, end in (("clt", client), ("srv", 1 - client)):
        row |= counts(session, end, side)
    row |= opening_times(session)
    row |= closing_fields(session, client)
    row |= rst_facts(session)
    row["opening"] = opening(roles)
    row["ending"] = ending(roles)
    row["state_clt"], row["state_srv"] = states(roles)
    row["conn_state"] = conn_state(roles)
    row["history"] = history(roles)
    row["completeness"] = completeness(events)
    row["phase"] = phase(roles)
    row["max_idle_ns"] = max_idle_ns(session) if is_established(roles) else 0
    row["observed"] = observed(roles, lossy(session))
    row["gaps"] = gaps(session, client)
    row["marks"] = marks(session, client)
    row["retries"] = retries(session, client)
    row["evidence"] = evidence(session, client)
    return row


def client_of(session: Session) -> tuple[int, str]:
    """Return which end is the client, and the rule that said so."""
    if session.first_syn_by is not None:
        return session.first_syn_by, "syn"
    if session.first_synack_by is not None:
        return 1 - session.first_synack_by, "synack"
    low_ports = [port < 1024 for _, port in (session.low, session.high)]
    if low_ports[0] != low_ports[1]:
        return (1 if low_ports[0] else 0), "port"
    return session.events[0].end, "guess"


def counts(session: Session, end: int, side: str) -> dict[str, Any]:
    """Return the two-sided counts of one end."""
    mine = [event for event in session.events if event.end == end]
    flags = [event.packet.flags for event in mine]
    state = session.ends[end]
    return {
        f"packets_{side}": len(mine),
        f"bytes_{side}": state.bytes,
        f"new_bytes_{side}": state.new_bytes,
        f"retx_packets_{side}": sum(event.retx for event in mine),
        f"syn_{side}": sum(f & (SYN | ACK) == SYN for f in flags),
        f"synack_{side}": sum(f & (SYN | ACK) == SYN | ACK for f in flags),
        f"fin_{side}": sum(bool(f & FIN) for f in flags),
        f"rst_{side}": sum(bool(f & RST) for f in flags),
        f"fin_{side}_uniq": len({event.fin_position for event in mine} - {None}),
        f"keepalives_{side}": sum(event.keepalive for event in mine),
        f"bytes_after_fin_{side}": sum(event.beyond_fin for event in mine),
        f"unacked_bytes_{side}": unacked_bytes(session, end),
    }


def opening_times(session: Session) -> dict[str, Any]:
    """Return the handshake's count and times."""
    syn = first(session, "syn")
    synack = first(session, "synack")
    done = session.handshake()
    ct_ns = to_synack = None
    if done is not None and syn is not None:
        ct_ns = max(0, session.events[done].packet.ts_ns - session.events[syn].packet.ts_ns)
    if syn is not None and synack is not None and syn < synack:
        to_synack = max(0, session.events[synack].packet.ts_ns - session.events[syn].packet.ts_ns)
    both = ct_ns is not None and to_synack is not None
    return {
        "ct_count": int(done is not None),
        "ct_ns": ct_ns,
        "syn_to_synack_ns": to_synack,
        "synack_to_ack_ns": max(0, (ct_ns or 0) - (to_synack or 0)) if both else None,
    }


def first(session: Session, kind: str) -> int | None:
    """Return the index of the first packet of a kind."""
    return next((i for i, event in enumerate(session.events) if event.kind == kind), None)


def rst_facts(session: Session) -> dict[str, Any]:
    """Return what the first RST looks like beside its sender's other packets."""
    at = next((i for i, event in enumerate(session.events) if event.packet.flags & RST), None)
    if at is None:
        return {"rst_seq": "unknown", "rst_ttl_delta": None, "rst_ipid_jump": None}
    rst = session.events[at]
    earlier = [event for event in session.events[:at] if event.end == rst.end]
    delta = rst.packet.ttl - earlier[-1].packet.ttl if earlier else None
    return {"rst_seq": rst.place, "rst_ttl_delta": delta, "rst_ipid_jump": ipid_jump(rst, earlier)}


def ipid_jump(rst: Event, earlier: list[Event]) -> int | None:
    """Return the IP-ID step to a RST if its sender counts its packets."""
    plain = [event.packet for event in earlier if not event.packet.flags & SYN]
    ids = [packet.ipid for packet in plain if packet.ipid is not None]
    if rst.packet.ipid is None or len(ids) < 3:
        return None
    if not all(1 <= (b - a) % 65536 <= 256 for a, b in pairwise(ids)):
        return None
    return (rst.packet.ipid - ids[-1] + 32768) % 65536 - 32768
