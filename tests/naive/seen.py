"""What the observer saw of data and silence: holes, unacknowledged bytes, gaps (sections 4 and 5)."""

from __future__ import annotations

from itertools import takewhile
from typing import Any

from tests.naive.closing import first_flag, silence
from tests.naive.packets import ACK, FIN, RST, SYN, Packet
from tests.naive.serial import MOD, distance
from tests.naive.session import Event, Session

SHORTEST_GAP = 10**9
SHORTEST_OPEN_GAP = 5 * 10**9  # in the phases `established` and `midstream`
MOST_GAPS = 64


def unacked_bytes(session: Session, end: int) -> int:
    """Return the payload positions from the other end's highest ack to the highest sent."""
    me, other = session.ends[end], session.ends[1 - end]
    if me.top is None or me.lowest is None:
        return 0
    # The first FIN at the very end is not payload.
    top = me.top - (me.first_fin is not None and (me.first_fin + 1) % MOD == me.highest_end)
    if other.highest_ack is not None:
        return max(0, distance(top % MOD, other.highest_ack))
    low = me.lowest if me.isn is None else me.isn_at + 1
    return max(0, top - low)


def lossy(session: Session) -> bool:
    """Return whether an end acknowledged what the observer never saw.

    That is an ack above what the sender was seen to send, or a hole below the ack.
    """
    for end in (0, 1):
        me, other = session.ends[end], session.ends[1 - end]
        if me.top is None or me.lowest is None or other.highest_ack is None:
            continue
        ack = me.unwrap(other.highest_ack)
        if me.occupied:
            begin = me.lowest if me.isn is None else me.isn_at
            lost = not me.occupied.holds(begin, ack)
        else:
            # What occupied nothing may be a keepalive, one number back: nothing was lost.
            lost = ack > me.top + 1
        if lost:
            return True
    return False


def max_idle_ns(session: Session) -> int:
    """Return the longest silence while established, up to and with the one that the first FIN or RST ends."""
    begin, stop = session.established, first_flag(session, FIN | RST)
    if begin is None:
        return 0
    last = len(session.events) - 1 if stop is None else stop
    return max((silence(session, i) for i in range(begin, last)), default=0)


def packets_by(events: list[Event]) -> tuple[int, int]:
    """Return how many packets each end sent."""
    return sum(event.end == 0 for event in events), sum(event.end == 1 for event in events)


def packet_kind(packet: Packet) -> str:
    """Return what a packet is to a timer: the first that applies."""
    if packet.flags & RST:
        return "rst"
    if packet.flags & SYN and not packet.flags & FIN:
        return "syn_ack" if packet.flags & ACK else "syn"
    if packet.flags & FIN:
        return "fin"
    return "data" if packet.payload else "ack"


def outstanding(events: list[Event]) -> tuple[bool, bool, bool]:
    """Return, after some events: is anything not acknowledged, does it stand still, did a FIN come again."""
    unacked = fin_again = False
    for end in (0, 1):
        top, ack = events[-1].highest[end], events[-1].acks[1 - end]
        unacked |= top is not None and top != ack
        fin_again |= sum(bool(e.packet.flags & FIN) for e in events if e.end == end) > 1
    plain = [e for e in events if e.end == events[-1].end and not e.packet.flags & RST]
    shut = bool(plain) and plain[-1].packet.window == 0

    def repeats(event: Event) -> bool:
        again = event.retx or event.keepalive or event.probe
        return event.end == events[-1].end and again and not event.packet.flags & RST

    still = len(list(takewhile(repeats, events[::-1]))) >= 3
    return unacked, shut or still, fin_again


def gaps(session: Session, client: int) -> list[tuple[Any, ...]]:
    """Return the long silences that are longer than every earlier one of their phase and state, or end with a close."""
    found: list[tuple[Any, ...]] = []
    longest: dict[tuple[Any, ...], int] = {}
    phases: dict[str, int] = {}
    for i, event in enumerate(session.events[:-1]):
        gap = silence(session, i)
        shortest = SHORTEST_OPEN_GAP if event.phase in ("established", "midstream") else SHORTEST_GAP
        if gap < shortest:
            continue
        following = session.events[i + 1]
        kind = packet_kind(following.packet)
        state = outstanding(session.events[: i + 1])
        before = longest.get((event.phase, *state), 0)
        if gap <= before and not following.packet.flags & (FIN | RST):
            continue
        longest[event.phase, *state] = max(gap, before)
        is_longest = gap > phases.get(event.phase, 0)
        phases[event.phase] = max(gap, phases.get(event.phase, 0))
        if len(found) < MOST_GAPS:
            sent = (event.sent[client], event.sent[1 - client])
            packets = packets_by(session.events[: i + 1])
            by = "client" if following.end == client else "server"
            numbers = (event.latest_ns, gap, *sent, packets[client], packets[1 - client])
            found.append((event.phase, *numbers, is_longest, *state, kind, by))
    return found
