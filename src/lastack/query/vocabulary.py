"""The measures that have a name: counts declared as filters, and the quotients that people ask for."""

from __future__ import annotations

from functools import cache

from lastack.query.measures import Atom, Fold, Measure
from lastack.query.metrics import Kind
from lastack.query.parse import parse_filter

_ATTEMPTS = "opening in {established, simultaneous, refused, refused_icmp, unanswered, half_open, aborted}"
_CONNECTIONS = "opening in {established, simultaneous}"
#: Rows that are no sessions: lone packets. Grouped questions leave them out unless told otherwise.
STRAYS = "opening = stray"

#: Name -> the sessions it counts, as a filter, and what they are.
COUNTS: dict[str, tuple[str, str]] = {
    "sessions": ("", "sessions"),
    "attempts": (_ATTEMPTS, "attempts to connect: sessions whose SYN was seen"),
    "connections": (_CONNECTIONS, "attempts that succeeded: the handshake completed"),
    "failed": (f"{_ATTEMPTS} and not {_CONNECTIONS}", "attempts that did not succeed, pending ones included"),
    "refused": ("opening in {refused, refused_icmp}", "attempts answered by a RST or an ICMP error"),
    "unanswered": ("opening = unanswered", "attempts without any answer"),
    "half_open": ("opening = half_open", "attempts answered, and never completed by the client"),
    "aborted": ("opening = aborted", "attempts that a RST ended after the SYN-ACK, or that the client reset"),
    "established": (
        "opening in {established, simultaneous, midstream}",
        "connections, and sessions that were already running when they were first seen",
    ),
    "midstream": ("opening = midstream", "sessions that were already running when they were first seen"),
    "clean": ("ending = closed", "sessions with a FIN from each end and no RST"),
    "resets": ("rst > 0", "sessions with a RST"),
    "resets.clt": ("rst.clt > 0", "sessions in which the client sent a RST"),
    "resets.srv": ("rst.srv > 0", "sessions in which the server sent a RST"),
    "cut": ("ending in {rst, fin_rst} and harm != none", "sessions that a RST ended before both had closed"),
    "vanished": ("ending = vanished", "sessions in which one end no longer answered"),
    "half_closed_backlog": ("ending = half_closed", "sessions that are half-closed when the capture ends"),
    "half_close_used": ("half_closed_bytes > 0", "sessions that sent data the other way while half-closed"),
    "harmed": (
        "harm in {open_failed, data_lost, close_lost, stalled}",
        "sessions whose ending cost something",
    ),
}
#: Name -> count, count it is divided by, what it is.
SHARES: dict[str, tuple[str, str, str]] = {
    "refused_share": ("refused", "attempts", "refused attempts of all attempts"),
    "failed_share": ("failed", "attempts", "failed attempts of all attempts"),
    "cut_share": ("cut", "established", "established sessions that a RST cut"),
    "reset_share": ("resets", "sessions", "sessions with a RST of all sessions"),
    "harmed_share": ("harmed", "sessions", "sessions that took harm of all sessions"),
}
#: What `/name` and `--per name` divide by.
DENOMINATORS: dict[str, str] = {
    "connection": "connections",
    "attempt": "attempts",
    "session": "sessions",
}
#: Quotients that are asked for most; any measure may be divided by any other.
RATES: dict[str, str] = {
    "syn/connection": "SYNs for each connection: above 1, opens are repeated or fail",
    "syn/attempt": "SYNs for each attempt: above 1, they are repeated",
    "rst/connection": "RSTs for each connection",
    "rst.clt/connection": "RSTs of clients for each connection",
    "rst.srv/connection": "RSTs of servers for each connection",
    "fin/connection": "FINs for each connection: 2 is normal",
    "retx/session": "retransmitted packets for each session",
}


@cache
def counted(name: str) -> Measure | None:
    """Return the named count, None if no count has that name."""
    if name not in COUNTS:
        return None
    text, help_ = COUNTS[name]
    return Measure(name, Kind.number, Atom(Fold.count, where=parse_filter(text)), help=help_)


@cache
def shared(name: str) -> Measure | None:
    """Return the named share, None if no share has that name."""
    if name not in SHARES:
        return None
    above, below, help_ = SHARES[name]
    top, bottom = counted(above), counted(below)
    assert top is not None, f"{name} divides {above}, which is not declared"
    assert bottom is not None, f"{name} divides by {below}, which is not declared"
    return Measure(name, Kind.ratio, top.above, bottom.above, percent=True, help=help_)


def name_of(atom: Atom) -> str | None:
    """Return the name of the declared count that an atom is, None if it is none."""
    found = (name for name in COUNTS if (measure := counted(name)) is not None and measure.above == atom)
    return next(found, None)
