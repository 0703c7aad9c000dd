"""Verdicts on opening, ending and states (definitions.md, section 5)."""

from __future__ import annotations

from tests.naive.closing import crossed, first_flag
from tests.naive.packets import ACK, FIN, RST, SYN
from tests.naive.session import Event, Session


class Roles:
    """A finished session seen as client and server, with the indexes that verdicts compare."""

    def __init__(self, session: Session, client: int) -> None:
        self.session = session
        self.client = client
        self.events = session.events
        self.clt, self.srv = session.ends[client], session.ends[1 - client]
        fins = [i for i in (first_flag(session, FIN, end) for end in (0, 1)) if i is not None]
        self.fins = sorted(fins)
        self.effective = next((i for i, event in enumerate(self.events) if event.effective), None)
        self.has_syn = session.first_syn_by is not None
        self.has_synack = self.srv.sent_synack  # of the server: a client's alone opens nothing

    def effective_rsts(self) -> list[int]:
        """Return the indexes of the RSTs that could end the session."""
        return [i for i, event in enumerate(self.events) if event.effective]


def is_stray(r: Roles) -> bool:
    """Return whether only one end was seen, without SYN, SYN-ACK and payload."""
    both_seen = r.clt.packets and r.srv.packets
    return not (r.clt.isn_kind or r.srv.isn_kind or both_seen or r.session.paid)


def is_established(r: Roles) -> bool:
    """Return whether the session was ever established; a stray never was."""
    return r.session.established is not None and not is_stray(r)


def opening(r: Roles) -> str:
    """Return how the session opened."""
    if is_stray(r):
        return "stray"
    if not (r.clt.isn_kind or r.srv.isn_kind):
        return "midstream"
    if is_established(r):
        return "simultaneous" if r.clt.sent_syn and r.srv.sent_syn else "established"
    if not r.has_syn:
        return "synack_only"
    synack = next(
        (i for i, event in enumerate(r.events) if event.kind == "synack" and event.end != r.client), None
    )
    after_synack = synack is not None and any(i > synack for i in r.effective_rsts())
    by_client = any(event.packet.flags & RST and event.end == r.client for event in r.events)
    if after_synack or by_client:
        return "aborted"
    if synack is None and any(r.events[i].end != r.client for i in r.effective_rsts()):
        return "refused"
    if synack is not None:
        return "half_open"
    return "refused_icmp" if r.session.icmp is not None else "unanswered"


def ending(r: Roles) -> str:
    """Return what was seen of the end."""
    if opening(r) not in ("established", "simultaneous", "midstream"):
        return "never_opened"
    effective = r.effective
    if not r.fins:
        if effective is not None:
            return "rst"
        return "vanished" if vanished(r.events) else "open"
    # A packet with FIN and RST is a FIN first, so `<` leaves its RST after the FIN.
    if effective is not None and effective < r.fins[0]:
        return "rst"
    if len(r.fins) == 1:
        return "half_closed" if effective is None else "fin_rst"
    if effective is not None and effective < r.fins[1]:
        return "fin_rst"
    after = any(event.packet.flags & RST for event in r.events[r.fins[1] :])
    return "closed_rst" if after else "closed"


def vanished(events: list[Event]) -> bool:
    """Return whether the last three packets are one end's unanswered repeats."""
    last = events[-3:]
    repeats = all(event.retx or event.keepalive or event.probe for event in last)
    return len(last) == 3 and repeats and len({event.end for event in last}) == 1


def states(r: Roles) -> tuple[str, str]:
    """Return the RFC 9293 state of client and server at the end."""
    if r.effective is not None:
        return "CLOSED", "CLOSED"
    if r.fins:
        return states_by_fins(r)
    how = opening(r)
    if how == "stray":
        return "UNKNOWN", "UNKNOWN"
    if how == "midstream":
        return "ESTABLISHED", "ESTABLISHED"
    if how in ("established", "simultaneous"):
        clt, srv = ("ESTABLISHED" if end.packets else "UNKNOWN" for end in (r.clt, r.srv))
        return clt, srv
    if r.has_synack:
        return ("ESTABLISHED" if r.has_syn else "UNKNOWN"), "SYN_RECEIVED"
    return "SYN_SENT", "SYN_SENT" if r.srv.sent_syn else "UNKNOWN"


def states_by_fins(r: Roles) -> tuple[str, str]:
    """Return the states of both ends once a FIN was seen and no RST that counts."""
    closer = r.events[r.fins[0]].end
    first, second = r.session.ends[closer], r.session.ends[1 - closer]
    first_acked, second_acked = first.fin_acked_by(second), second.fin_acked_by(first)
    if len(r.fins) == 1:
        pair = ("FIN_WAIT_2" if first_acked else "FIN_WAIT_1", "CLOSE_WAIT")
    elif crossed(r.session):
        pair = ("TIME_WAIT" if first_acked else "CLOSING", "TIME_WAIT" if second_acked else "CLOSING")
    else:
        pair = ("TIME_WAIT", "CLOSED" if second_acked else "LAST_ACK")
    return pair if closer == r.client else (pair[1], pair[0])


def conn_state(r: Roles) -> str:
    """Return Zeek's conn_state; O and R are "client / server sent a SYN or SYN-ACK"."""
    o, rr = r.clt.isn is not None, r.srv.isn is not None
    if r.events[0].packet.flags & FIN and r.events[0].packet.flags & RST:
        return "OTH"
    fin: dict[int, int] = {}
    for i, event in enumerate(r.events):
        if event.packet.flags & FIN:
            fin.setdefault(event.end, i)
    effective = r.effective
    if len(fin) == 2 and (effective is None or max(fin.values()) <= effective):
        return "SF"
    rst = effective if effective is not None else first_flag(r.session, RST)
    if rst is not None:
        if r.events[rst].end != r.client:
            if o:
                return "RSTR" if rr else "REJ"
            return "RSTRH" if rr else "OTH"
        if not o:
            return "OTH"
        return "RSTO" if r.srv.packets else "RSTOS0"
    if fin:
        if r.client in fin:
            return "S2" if rr else "SH"
        return "S3" if o else "SHR"
    if o and rr:
        return "S1"
    return "S0" if o and not r.srv.packets else "OTH"


def history(r: Roles) -> str:
    """Return Zeek's history letters, at most 30."""
    letters = ""
    last: dict[tuple[int, str], int | None] = {}
    for event in r.events:
        flags = event.packet.flags
        several = sum(bool(flags & flag) for flag in (SYN, FIN, RST)) > 1
        mark: int | None = event.packet.seq
        if several:
            letter, mark = ("I" if flags & FIN and flags & RST else "Q"), None
        elif flags & SYN:
            letter = "H" if flags & ACK else "S"
        elif flags & FIN:
            letter, mark = "F", event.fin_position
        elif flags & RST:
            letter = "R"
        elif event.packet.payload:
            letter, mark = "D", None
        elif flags & ACK:
            letter, mark = "A", None
        else:
            continue
        # Zeek keeps one memory for S and H.
        key = (event.end, "S" if letter == "H" else letter)
        if key not in last or last[key] != mark:
            letters += letter if event.end == r.client else letter.lower()
        last[key] = mark
    return letters[:30]


def completeness(events: list[Event]) -> int:
    """Return Wireshark's tcp.completeness bits, 0 without a SYN or SYN-ACK."""
    if all(event.kind == "other" for event in events):
        return 0
    bits = 0
    for event in events:
        flags, payload = event.packet.flags, event.packet.payload
        plain, bare_syn = flags & (SYN | ACK) == ACK, flags & (SYN | ACK | RST) == SYN
        if flags & SYN:
            bits |= 2 if flags & ACK else 1
        if plain and not payload:
            bits |= 4
        if payload and (plain or bare_syn):
            bits |= 8
        bits |= 16 * bool(flags & FIN) | 32 * bool(flags & RST)
    return bits


def phase(r: Roles) -> str:
    """Return the joint phase in which the session ended; a RST that counts keeps the phase it found."""
    stop = r.effective
    acked = tuple(r.session.ends[i].fin_acked_by(r.session.ends[1 - i]) for i in (0, 1))
    fins = r.fins
    since = r.session.established
    if stop is not None:
        fins = [i for i in fins if i <= stop]
    if since is None or is_stray(r):
        return "opening"
    if len(fins) == 2:
        return "closed" if all(acked) else "closing"
    return "half_closed" if fins else "established"


def observed(r: Roles, lossy: bool) -> str:
    """Return how much of the session the observer saw, most limiting first."""
    how = opening(r)
    one_end = not (r.clt.packets and r.srv.packets)
    if how in ("established", "simultaneous", "midstream", "synack_only") and one_end:
        return "one_way"
    if lossy:
        return "lossy"
    if how in ("midstream", "synack_only", "stray"):
        return "start_missing"
    return "end_missing" if ending(r) in ("open", "half_closed", "vanished") else "complete"
