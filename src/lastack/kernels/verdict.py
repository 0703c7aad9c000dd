"""A first, simple verdict from the opening and the ending alone; rules with evidence refine it in `diagnosis`."""

from __future__ import annotations

from typing import Any

from lastack.kernels._jit import helper
from lastack.kernels.decode_words import i64
from lastack.kernels.layout import RST_EFFECTIVE_HI, SYNACK_SEEN
from lastack.kernels.outcome import (
    E_CLOSED,
    E_CLOSED_RST,
    E_FIN_RST,
    E_HALF,
    E_RST,
    E_VANISHED,
    O_ABORTED,
    O_HALF_OPEN,
    O_ICMP,
    O_REFUSED,
    O_STRAY,
    O_SYNACK,
    O_UNANSWERED,
)
from lastack.model.enums import Actor, Cause, Harm

_UNKNOWN, _CLIENT, _SERVER, _NETWORK = (
    int(Actor.unknown),
    int(Actor.client),
    int(Actor.server),
    int(Actor.network),
)
_H_UNKNOWN, _H_NONE, _H_OPEN = int(Harm.unknown), int(Harm.none), int(Harm.open_failed)
_H_LOST, _H_STALLED = int(Harm.data_lost), int(Harm.stalled)
C_UNKNOWN, C_CLEAN, C_AFTER = int(Cause.unknown), int(Cause.clean_close), int(Cause.reset_after_close)
C_STOPPED, C_BY_CLIENT = int(Cause.stopped_reading), int(Cause.aborted_by_client)
C_BY_SERVER, C_REFUSED, C_ICMP = int(Cause.aborted_by_server), int(Cause.refused), int(Cause.refused_icmp)
C_UNANSWERED, C_CLIENT_GONE = int(Cause.unanswered), int(Cause.half_open_client_gone)
C_PROBE, C_VANISHED = int(Cause.probe), int(Cause.peer_vanished)
C_OPEN, C_WAITING = int(Cause.still_open), int(Cause.half_closed_waiting)


def _pack(cause: int, percent: int, actor: int = _UNKNOWN, harm: int = _H_UNKNOWN) -> int:
    return cause << 24 | percent << 16 | actor << 8 | harm


# Constants, because a helper would be compiled anew for every combination of them. The actor is added where it is 0.
_V_REFUSED = _pack(C_REFUSED, 95, _SERVER, _H_OPEN)
_V_ICMP = _pack(C_ICMP, 90, _NETWORK, _H_OPEN)
_V_UNANSWERED = _pack(C_UNANSWERED, 90, _UNKNOWN, _H_OPEN)
_V_CLIENT_GONE = _pack(C_CLIENT_GONE, 50, _CLIENT, _H_OPEN)
_V_PROBE = _pack(C_PROBE, 70, _CLIENT, _H_NONE)
_V_UNKNOWN = _pack(C_UNKNOWN, 0)
_V_CLEAN = _pack(C_CLEAN, 95, harm=_H_NONE)
_V_CLEAN_LEFT = _pack(C_CLEAN, 70)
_V_AFTER = _pack(C_AFTER, 90, harm=_H_NONE)
_V_STOPPED = _pack(C_STOPPED, 60, harm=0)
_V_BY_CLIENT = _pack(C_BY_CLIENT, 60, _CLIENT, harm=0)
_V_BY_SERVER = _pack(C_BY_SERVER, 60, _SERVER, harm=0)
_V_WAITING = _pack(C_WAITING, 80)
_V_VANISHED = _pack(C_VANISHED, 60, harm=_H_STALLED)
_V_OPEN = _pack(C_OPEN, 90)
_ACTOR = 8  # shift


@helper
def verdict_of(h: Any, c: Any, opening: Any, ending: Any, first_closer: Any, unacked: Any) -> Any:
    """Return cause << 24 | confidence in percent << 16 | actor << 8 | harm."""
    flags = i64(h.bits)
    resetter = _CLIENT if ((flags & RST_EFFECTIVE_HI) != 0) == (c == 1) else _SERVER
    closer = first_closer if first_closer < 3 else _UNKNOWN
    if opening == O_REFUSED:
        return _V_REFUSED
    if opening == O_ICMP:
        return _V_ICMP
    if opening == O_UNANSWERED:
        return _V_UNANSWERED
    if opening == O_HALF_OPEN:
        return _V_CLIENT_GONE
    if opening == O_ABORTED:
        if (flags & (SYNACK_SEEN << (1 - c))) != 0 and resetter == _CLIENT:
            return _V_PROBE
        return (_V_BY_CLIENT if resetter == _CLIENT else _V_BY_SERVER) | _H_OPEN
    if opening == O_STRAY or opening == O_SYNACK:
        return _V_UNKNOWN
    if ending == E_CLOSED:
        return (_V_CLEAN_LEFT if unacked > 0 else _V_CLEAN) | closer << _ACTOR
    if ending == E_CLOSED_RST:
        return _V_AFTER | closer << _ACTOR
    lost = _H_LOST if unacked > 0 else _H_UNKNOWN
    if ending == E_FIN_RST and resetter == closer:
        return _V_STOPPED | resetter << _ACTOR | lost
    if ending == E_FIN_RST or ending == E_RST:
        return (_V_BY_CLIENT if resetter == _CLIENT else _V_BY_SERVER) | lost
    if ending == E_HALF:
        return _V_WAITING
    if ending == E_VANISHED:
        return _V_VANISHED
    return _V_OPEN
