"""How a session closed: order, times, and what happened while it was half-closed (section 4)."""

from __future__ import annotations

from typing import Any

from tests.naive.packets import ACK, FIN, RST
from tests.naive.serial import MOD, distance
from tests.naive.session import Event, Session


def first_flag(session: Session, flag: int, end: int | None = None) -> int | None:
    """Return the index of the first packet with a flag, from one end or from either."""
    for i, event in enumerate(session.events):
        if event.packet.flags & flag and end in (None, event.end):
            return i
    return None


def closing_fields(session: Session, client: int) -> dict[str, Any]:
    """Return all fields that tell how and when FINs and RSTs came."""
    events = session.events
    fins = sorted(i for i in (first_flag(session, FIN, end) for end in (0, 1)) if i is not None)
    rst = first_flag(session, RST)

    def time(i: int | None) -> int | None:
        return None if i is None else events[i].packet.ts_ns

    starts = [i for i in (*fins[:1], rst) if i is not None]
    before_close = None
    if starts and min(starts) > 0:
        before_close = silence(session, min(starts) - 1)
    return {
        "first_closer": first_closer(session, client),
        "close_order": close_order(session, client),
        "first_fin_ns": time(fins[0]) if fins else None,
        "second_fin_ns": time(fins[1]) if len(fins) > 1 else None,
        "closed_ns": time(closed_at(session, fins, rst)),
        "first_rst_ns": time(rst),
        "packets_after_rst": 0 if rst is None else len(events) - rst - 1,
        "idle_before_close_ns": before_close,
        **half_close(session, client, fins, rst),
    }


def silence(session: Session, i: int) -> int:
    """Return the silence after packet i, from the latest time so far; a time before that counts as 0."""
    return max(0, session.events[i + 1].packet.ts_ns - session.events[i].latest_ns)


def acknowledges(event: Event, fin_position: int) -> bool:
    """Return whether a packet acknowledges a FIN."""
    return bool(event.packet.flags & ACK) and distance(event.packet.ack, (fin_position + 1) % MOD) >= 0


def word(end: int, client: int) -> str:
    """Return the name of an end."""
    return "client" if end == client else "server"


def crossed(session: Session) -> bool:
    """Return whether both first FINs came before any RST and, by then, neither end had acknowledged the other's."""
    fins = [first_flag(session, FIN, end) for end in (0, 1)]
    rst = first_flag(session, RST)
    if fins[0] is None or fins[1] is None:
        return False
    second = max(fins[0], fins[1])
    if rst is not None and rst < second:
        return False
    for end in (0, 1):
        position, ack = session.events[fins[end] or 0].fin_position, session.events[second].acks[1 - end]
        if ack is not None and distance(ack, position or 0) > 0:
            return False
    return True


def first_closer(session: Session, client: int) -> str:
    """Return who sent the first FIN or RST, `both` for a simultaneous close."""
    if crossed(session):
        return "both"
    at = first_flag(session, FIN | RST)
    return "none" if at is None else word(session.events[at].end, client)


def close_order(session: Session, client: int) -> str:
    """Return the first FIN and RST of each end in order."""
    letters = ""
    for event in session.events:
        for flag, letter in ((FIN, "F"), (RST, "R")):
            shown = letter if event.end == client else letter.lower()
            if event.packet.flags & flag and shown not in letters:
                letters += shown
    return letters


def closed_at(session: Session, fins: list[int], rst: int | None) -> int | None:
    """Return the index of the packet that acknowledged the second FIN, None if a RST came before it."""
    if len(fins) < 2:
        return None
    closer, position = session.events[fins[0]].end, session.events[fins[1]].fin_position
    assert position is not None, "a packet with FIN has a position"
    for i in range(fins[1] + 1, len(session.events)):
        if rst is not None and rst <= i:
            return None
        event = session.events[i]
        if event.end == closer and acknowledges(event, position):
            return i
    return None


def half_close(session: Session, client: int, fins: list[int], rst: int | None) -> dict[str, Any]:
    """Return who half-closed the session, for how long, and what the other end still sent."""
    if not fins or (rst is not None and rst < fins[0]):
        return {
            "half_closed_by": "none",
            "half_closed_ns": None,
            "half_closed_bytes": 0,
            "half_closed_max_gap_ns": None,
        }
    events, begin = session.events, fins[0]
    closer, position = events[begin].end, events[begin].fin_position
    assert position is not None, "a packet with FIN has a position"
    ends = [i for i in (*fins[1:], rst) if i is not None]
    end = min(ends, default=len(events) - 1)
    end_ns = events[end].packet.ts_ns if ends else events[end].latest_ns
    used = 0
    for event in events[begin + 1 : end + 1]:
        if event.end != closer and acknowledges(event, position):
            used += event.new
    return {
        "half_closed_by": word(closer, client),
        "half_closed_ns": max(0, end_ns - events[begin].packet.ts_ns),
        "half_closed_bytes": used,
        "half_closed_max_gap_ns": max((silence(session, i) for i in range(begin, end)), default=0),
    }
