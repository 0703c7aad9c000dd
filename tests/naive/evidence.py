"""What proves a verdict: marks of a half-closed session and the evidence entry (definitions.md, section 7)."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from tests.naive.closing import first_flag, word
from tests.naive.packets import ACK, FIN, RST, SYN
from tests.naive.seen import packet_kind, packets_by
from tests.naive.serial import distance
from tests.naive.session import Session

AGES_S = (
    1, 2, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 240, 300, 600, 900, 1200, 1800, 3600, 7200, 14400, 86400,
)  # fmt: skip
MOST = 2**32 - 1
MOST_OTHERS = 32  # marks, from which on only those that hold an age are kept
MOST_RETRIES = 24
SHORTEST_AGE, SHORTEST_MARK = 10**9, 10**6
NUMBER_REACH = 2**32 - 1


def marks(session: Session, client: int) -> list[tuple[int, ...]]:
    """Return the silences of the half-closed session with what had been sent before them."""
    events = session.events
    begin, rst = first_flag(session, FIN), first_flag(session, RST)
    if begin is None or (rst is not None and rst <= begin):
        return []
    other = first_flag(session, FIN, 1 - events[begin].end)
    last = min((i for i in (other, rst) if i is not None), default=len(events) - 1)
    found: list[tuple[int, ...]] = []
    zero = events[begin].packet.ts_ns
    passed = 0
    for i in range(begin + 1, last + 1):
        since, until = events[i - 1].latest_ns - zero, events[i].packet.ts_ns - zero
        if until < SHORTEST_AGE or until <= since:
            continue
        ages = sum(age * 10**9 <= until for age in AGES_S)
        if ages > passed:
            passed = ages
        elif len(found) >= MOST_OTHERS or until - since < SHORTEST_MARK:
            continue
        sent, packets = events[i - 1].sent, packets_by(events[:i])
        counts = (sent[client], sent[1 - client], packets[client], packets[1 - client])
        found.append((since, until, *counts))
    return found


def retries(session: Session, client: int) -> list[tuple[Any, ...]]:
    """Return the packets of the opening, other than the first packet and the first SYN-ACK."""
    found: list[tuple[Any, ...]] = []
    answered = False
    for i, event in enumerate(session.events):
        kind = packet_kind(event.packet)
        over = event.packet.flags & (FIN | RST) or session.established == i
        if over or event.phase not in ("syn_sent", "syn_recv"):
            break
        first = kind == "syn_ack" and not answered
        if i and not first and len(found) < MOST_RETRIES:
            by = "client" if event.end == client else "server"
            found.append((event.latest_ns, by, kind, answered))
        answered |= kind == "syn_ack"
    return found


def tail_of(session: Session) -> list[int]:
    """Return the indexes of the last packets, RSTs aside, that one end only repeats."""
    found: list[int] = []
    for i in reversed(range(len(session.events))):
        event = session.events[i]
        if event.packet.flags & RST:
            continue
        repeats = event.retx or event.keepalive or event.probe
        if not repeats or (found and session.events[found[0]].end != event.end):
            break
        found.insert(0, i)
    return found


def evidence(session: Session, client: int) -> list[dict[str, Any]]:
    """Return the evidence entry in a list, or an empty list."""
    rst, tail = first_flag(session, RST), tail_of(session)
    if rst is None and not (tail or session.quotes or session.challenges or session.late_syns):
        return []
    ends = {"clt": client, "srv": 1 - client}
    entry = rst_itself(session, client, rst) | after(session, rst) | tail_members(session, client, tail)
    for side, end in ends.items():
        entry |= before_any_rst(session, end, side, rst)
        entry[f"in_flight_{side}"] = None if rst is None else min(session.in_flight[end], MOST)
        later = [] if rst is None else [e for e in session.events[rst + 1 :] if e.end == end]
        entry[f"after_rst_{side}"] = len(later)
        entry[f"after_rst_new_{side}"] = sum(event.new for event in later)
        entry[f"fin_{side}_packet"] = number(session, first_flag(session, FIN, end))
        entry[f"last_window_{side}"] = session.ends[end].last_window(session.ends[1 - end])
        plain = [e.packet for e in session.events if e.end == end and not e.packet.flags & RST]
        entry[f"zero_window_{side}"] = sum(packet.window == 0 for packet in plain)
    synack = next((i for i, event in enumerate(session.events) if event.kind == "synack"), None)
    entry["synack_packet"] = number(session, synack)
    entry["challenge_packet"] = number(session, min(session.challenges, default=None))
    entry["syn_in_session"] = session.late_syns
    return [entry | icmp_members(session, client)]


def number(session: Session, index: int | None) -> int:
    """Return the number of a packet of the session, 0 for none or one that is too far away."""
    if index is None:
        return 0
    found, first = session.events[index].packet.number, session.events[0].packet.number
    return found if found - first < NUMBER_REACH else 0


def rst_itself(session: Session, client: int, rst: int | None) -> dict[str, Any]:
    """Return what the first RST looks like, and what came just before it."""
    if rst is None:
        zeros = ("packet", "flags", "seq", "ack", "window", "ttl", "ipid", "payload")
        nulls = ("ns", "seq_step", "expected_step", "ack_step")
        return (
            {f"rst_{name}": 0 for name in zeros}
            | {f"rst_{name}": None for name in nulls}
            | {"rst_by": "none", "rst_sender_silent": False}
            | {"before_rst_packet": 0, "before_rst_by": "none", "before_rst_ns": None}
        )
    event, packet = session.events[rst], session.events[rst].packet
    top, other_top = session.tops[event.end], session.tops[1 - event.end]
    expected = event.acks[1 - event.end]
    before = session.events[rst - 1] if rst else None
    return {
        "rst_packet": number(session, rst),
        "rst_by": word(event.end, client),
        "rst_ns": packet.ts_ns,
        "rst_flags": packet.flags,
        "rst_seq": packet.seq,
        "rst_ack": packet.ack,
        "rst_window": packet.window,
        "rst_ttl": packet.ttl,
        "rst_ipid": packet.ipid or 0,
        "rst_payload": packet.payload,
        "rst_seq_step": None if top is None else distance(packet.seq, top),
        "rst_expected_step": None if expected is None else distance(packet.seq, expected),
        "rst_ack_step": distance(packet.ack, other_top)
        if packet.flags & ACK and other_top is not None
        else None,
        "rst_sender_silent": all(e.end != event.end for e in session.events[:rst]),
        "before_rst_packet": number(session, rst - 1) if rst else 0,
        "before_rst_by": word(before.end, client) if before else "none",
        "before_rst_ns": before.latest_ns if before else None,
    }


def before_any_rst(session: Session, end: int, side: str, rst: int | None) -> dict[str, Any]:
    """Return the TTLs and IP-IDs of an end's packets before the first RST."""
    packets = [e.packet for e in session.events[:rst] if e.end == end and not e.packet.flags & RST]
    ttls = [packet.ttl for packet in packets]
    ids = [p.ipid for p in packets if p.ipid is not None and not p.flags & SYN]
    if len(ids) < 3:
        kind = "unknown"
    elif not any(ids):
        kind = "zero"
    else:
        kind = "counter" if all(1 <= (b - a) % 65536 <= 256 for a, b in pairwise(ids)) else "other"
    return {
        f"ttl_low_{side}": min(ttls, default=0),
        f"ttl_high_{side}": max(ttls, default=0),
        f"ipid_kind_{side}": kind,
    }


def after(session: Session, rst: int | None) -> dict[str, Any]:
    """Return the race and the further RSTs."""
    entry: dict[str, Any] = dict.fromkeys(
        ("race_packet", "race_payload", "race_ttl", "rst_more", "rst2_packet", "rst_other_packet"), 0
    )
    entry |= dict.fromkeys(("race_seq_step", "race_ns", "rst2_seq_step", "rst2_ns"))
    if rst is None:
        return entry
    first, events = session.events[rst], session.events
    later = range(rst + 1, len(events))
    race = [i for i in later if events[i].end == first.end and not events[i].packet.flags & RST]
    if race:
        packet = events[race[0]].packet
        entry["race_packet"] = number(session, race[0])
        entry["race_seq_step"] = distance(packet.seq, first.packet.seq)
        entry["race_payload"], entry["race_ttl"], entry["race_ns"] = packet.payload, packet.ttl, packet.ts_ns
    resets = [i for i in later if events[i].packet.flags & RST]
    more = [i for i in resets if events[i].end == first.end and events[i].packet.seq != first.packet.seq]
    entry["rst_more"] = len(more)
    if more:
        packet = events[more[0]].packet
        entry["rst2_packet"] = number(session, more[0])
        entry["rst2_seq_step"], entry["rst2_ns"] = distance(packet.seq, first.packet.seq), packet.ts_ns
    others = [i for i in resets if events[i].end != first.end]
    entry["rst_other_packet"] = number(session, others[0] if others else None)
    return entry


def tail_members(session: Session, client: int, tail: list[int]) -> dict[str, Any]:
    """Return what the tail consists of."""
    if not tail:
        return {
            "tail_packets": 0, "tail_by": "none", "tail_kind": "none", "tail_packet": 0, "tail_start_ns": None,
            "tail_progress_ns": None,
        }  # fmt: skip
    first, last = session.events[tail[0]], session.events[tail[-1]]
    if last.packet.flags & SYN:
        kind = "syn"
    elif last.keepalive:
        kind = "keepalive"
    elif last.probe:
        kind = "zero_window"
    else:
        kind = "data" if last.packet.payload else "fin"
    return {
        "tail_packets": len(tail),
        "tail_by": word(first.end, client),
        "tail_kind": kind,
        "tail_packet": number(session, tail[0]),
        "tail_start_ns": first.packet.ts_ns,
        "tail_progress_ns": session.events[tail[0] - 1].latest_ns,
    }


def icmp_members(session: Session, client: int) -> dict[str, Any]:
    """Return the first ICMP error that quotes a segment, and how many do."""
    entry: dict[str, Any] = {"icmp_count": len(session.quotes)}
    if not session.quotes:
        zeros = dict.fromkeys(("icmp_type", "icmp_code", "icmp_packet"), 0)
        return entry | zeros | {"icmp_ns": None, "icmp_by": "none"}
    packet, sender = session.quotes[0]
    assert packet.icmp is not None, "only ICMP errors quote"
    return entry | {
        "icmp_type": packet.icmp.type,
        "icmp_code": packet.icmp.code,
        "icmp_packet": packet.number,
        "icmp_ns": packet.ts_ns,
        "icmp_by": word(sender, client),
    }
