"""What the observer saw of data and silence: holes, unacknowledged bytes, gaps (sections 4 and 5)."""

from __future__ import annotations

from tests.naive.closing import first_flag, silence
from tests.naive.packets import FIN, RST
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


def gaps(session: Session, client: int) -> list[tuple[str, int, int, int, int, int, int]]:
    """Return the left-to-right maxima of the long silences in each timer phase."""
    found: list[tuple[str, int, int, int, int, int, int]] = []
    longest: dict[str, int] = {}
    for i, event in enumerate(session.events[:-1]):
        gap = silence(session, i)
        shortest = SHORTEST_OPEN_GAP if event.phase in ("established", "midstream") else SHORTEST_GAP
        if gap < shortest or gap <= longest.get(event.phase, 0):
            continue
        longest[event.phase] = gap
        if len(found) < MOST_GAPS:
            sent = (event.sent[client], event.sent[1 - client])
            packets = packets_by(session.events[: i + 1])
            found.append((event.phase, event.latest_ns, gap, *sent, packets[client], packets[1 - client]))
    return found
