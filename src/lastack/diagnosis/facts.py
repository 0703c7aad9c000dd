"""What several rules ask of a session: who reset it, in which form, what was in flight, what came after a silence."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np

from lastack.diagnosis.columns import Columns, other
from lastack.model.enums import Closer, ConnState, Ending, EndpointState, Observed, RstSeq, are

_ACK = 16
MANY = 3  #: repeats in vain: fewer are what any loss makes

_RESETTER = np.zeros(len(ConnState), np.uint8)
_RESETTER[[ConnState.RSTO, ConnState.RSTOS0]] = Closer.client
_RESETTER[[ConnState.RSTR, ConnState.RSTRH, ConnState.REJ]] = Closer.server

#: States of an end whose FIN was not acknowledged.
_FIN_WAITS = np.zeros(len(EndpointState), bool)
_FIN_WAITS[[EndpointState.FIN_WAIT_1, EndpointState.CLOSING, EndpointState.LAST_ACK]] = True


def is_code(cols: Columns, name: str, *members: IntEnum) -> Any:
    """Return which rows have one of some members in an enum column."""

    def make(cols: Columns) -> Any:
        codes = cols.code(name)
        found = are(codes, members[0])
        for member in members[1:]:
            found |= are(codes, member)
        return found

    return cols.derived((name, *members), make)


def by_rst(cols: Columns) -> Any:
    """Return which rows were ended by a RST before both FINs."""
    return is_code(cols, "ending", Ending.rst, Ending.fin_rst)


def resetter(cols: Columns) -> Any:
    """Return who sent the RST (`Closer` codes): by the evidence, else by conn_state; none without one."""

    def make(cols: Columns) -> Any:
        seen = cols.evidence("rst_by").astype(np.uint8)
        return np.where(~are(seen, Closer.none), seen, _RESETTER.take(cols.code("conn_state")))

    return cols.derived("resetter", make)


def receiver(cols: Columns) -> Any:
    """Return who the RST was sent to (`Closer` codes)."""
    return cols.derived("receiver", lambda cols: other(resetter(cols)))


def has_rst(cols: Columns) -> Any:
    """Return which rows have evidence about a RST."""
    return cols.derived("has_rst", lambda cols: ~are(cols.evidence("rst_by"), Closer.none))


def of_own_doing(cols: Columns) -> Any:
    """Return which RSTs carry an ACK: an end with state made them (RFC 9293, 3.10.5 to 3.10.8), not a mere answer."""
    return cols.derived("own", lambda cols: has_rst(cols) & ((cols.evidence("rst_flags") & _ACK) != 0))


def mere_answer(cols: Columns) -> Any:
    """Return which RSTs have no ACK and the number that the segment before them acknowledged.

    An end without state makes them so (RFC 9293, 3.10.7.1), and so do firewalls that reject.
    """

    def make(cols: Columns) -> Any:
        bare = has_rst(cols) & ((cols.evidence("rst_flags") & _ACK) == 0)
        fits = are(cols.code("rst_seq"), RstSeq.exact)
        return bare & fits & (cols.evidence("before_rst_by") == receiver(cols))

    return cols.derived("answer", make)


def in_flight(cols: Columns) -> tuple[Any, Any]:
    """Return the bytes (of the resetter, of the receiver) that were sent and not acknowledged when the RST came."""

    def make(cols: Columns) -> tuple[Any, Any]:
        known = has_rst(cols)
        me, you = resetter(cols), receiver(cols)
        mine, yours = cols.of("in_flight", me, evidence=True), cols.of("in_flight", you, evidence=True)
        late_mine, late_yours = cols.of("unacked_bytes", me), cols.of("unacked_bytes", you)
        return np.where(known, mine, late_mine), np.where(known, yours, late_yours)

    pair: tuple[Any, Any] = cols.derived("in_flight", make)
    return pair


def unacked(cols: Columns) -> Any:
    """Return which rows end with bytes of either end that were not acknowledged."""
    return (cols.number("unacked_bytes_clt") > 0) | (cols.number("unacked_bytes_srv") > 0)


def repeated_in_vain(cols: Columns, side: Any) -> Any:
    """Return which rows end with data that an end (`Closer` codes) had sent three times again and nobody acknowledged.

    What is repeated is taken for what is missing if its size fits: an earlier loss in a long transfer says nothing.
    """
    unacked = cols.of("unacked_bytes", side).astype(np.int64)
    times = cols.of("retx_packets", side).astype(np.int64)
    repeated = cols.of("bytes", side).astype(np.int64) - cols.of("new_bytes", side).astype(np.int64)
    return (unacked > 0) & (repeated >= MANY * unacked) & (repeated <= times * unacked)


def waits_for_ack(cols: Columns, side: str) -> Any:
    """Return which rows end with data or a FIN of one end (`clt`, `srv`) that was not acknowledged."""
    return (cols.number(f"unacked_bytes_{side}") > 0) | _FIN_WAITS.take(cols.code(f"state_{side}"))


def sent_fin(cols: Columns, side: Any) -> Any:
    """Return which rows have a FIN of the end that `side` says (`Closer` codes)."""
    return cols.of("fin", side) > 0


def seen_whole(cols: Columns) -> Any:
    """Return which rows the observer saw without a hint of missing packets or a missing direction."""
    return is_code(cols, "observed", Observed.complete, Observed.end_missing)


def after_silence(cols: Columns, side: str) -> Any:
    """Return the packets that one end (`clt`, `srv`) sent after the latest entry of the gap profile; 0 without one."""
    packets = cols.number(f"packets_{side}").astype(np.int64)
    before = cols.last_gap(f"packets_{side}").astype(np.int64)
    return np.where(cols.has_gap, packets - before, 0)


def silence_ns(cols: Columns) -> Any:
    """Return the length of the latest entry of the gap profile: longer than all before it in its phase."""
    return cols.last_gap("gap_ns")
