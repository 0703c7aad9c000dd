"""What the observer saw of data and silence: holes, unacknowledged bytes, gaps (sections 4 and 5)."""

from __future__ import annotations

from tests.naive.closing import first_flag, silence
from tests.naive.packets import FIN, RST
from tests.naive.serial import MOD
from tests.naive.session import Session

SECOND = 10**9
MOST_GAPS = 64


def unacked_bytes(session: Session, end: int) -> int:
    """Return the payload positions from the other end's highest ack to the highest sent."""
    me, other = session.ends[end], session.ends[1 - end]
    if me.top is None or me.lowest is None:
        return 0
    # The first FIN at the very end is not payload.
    top = me.top - (me.first_fin is not None and (me.first_fin + 1) % MOD == me.highest_end)
    if other.highest_ack is not None:
        low = me.unwrap(other.highest_ack)
    else:
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
        begin = me.lowest if me.isn is None else me.isn_at
        if me.isn is None and not me.occupied.holds(begin, begin + 1):
            begin += 1  # the lowest may be a keepalive's, one number back: nothing was lost
        if not me.occupied.holds(begin, me.unwrap(other.highest_ack)):
            return True
    return False


def max_idle_ns(session: Session) -> int:
    """Return the longest silence while established, up to and with the one that the first FIN or RST ends."""
    begin, stop = session.established, first_flag(session, FIN | RST)
    if begin is None:
        return 0
    last = len(session.events) - 1 if stop is None else stop
    return max((silence(session, i) for i in range(begin, last)), default=0)


def gaps(session: Session, client: int) -> list[tuple[str, int, int, int, int]]:
    """Return the left-to-right maxima of the silences of 1 s and more in each timer phase."""
    found: list[tuple[str, int, int, int, int]] = []
    longest: dict[str, int] = {}
    for i, event in enumerate(session.events[:-1]):
        gap = silence(session, i)
        if gap < SECOND or gap <= longest.get(event.phase, 0):
            continue
        longest[event.phase] = gap
        if len(found) < MOST_GAPS:
            sent = (event.sent[client], event.sent[1 - client])
            found.append((event.phase, event.packet.ts_ns, gap, *sent))
    return found
