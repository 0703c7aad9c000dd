"""Sessions that end with one end sending in vain: what the three deaths share."""

from __future__ import annotations

from typing import Any

import numpy as np

from lastack.diagnosis.case import Case, count, other_end, span, the
from lastack.diagnosis.columns import Columns
from lastack.diagnosis.facts import MANY, by_rst, is_code, of_own_doing, resetter
from lastack.diagnosis.icmp import icmp_words
from lastack.diagnosis.verdict import Alternative, Proof
from lastack.model.enums import Cause, Closer, Ending, Phase, TailKind, are
from lastack.model.units import NS_PER_S

_WITH_RST = 2  # if their sender then gives up by a RST
#: Timers repeat later than this (RFC 6298: 1 s, Linux: 200 ms); copies that a capture holds of one packet come at once.
_TIMER_NS = NS_PER_S // 20


def in_vain(cols: Columns, *kinds: TailKind) -> Any:
    """Return which rows end with one end repeating some kind of segment without an answer, RSTs of its own aside."""

    def make(cols: Columns) -> Any:
        repeats = cols.evidence("tail_packets").astype(np.int64)
        by = cols.evidence("tail_by")
        silent = is_code(cols, "ending", Ending.vanished, Ending.half_closed, Ending.open)
        closing = is_code(cols, "ending", Ending.closed) & is_code(cols, "phase", Phase.closing)
        gave_up = by_rst(cols) & of_own_doing(cols) & (resetter(cols) == by)
        waited = (cols.evidence("before_rst_by") == by) & (repeats >= _WITH_RST)
        return repeats_by_a_timer(cols) & ((repeats >= MANY) & (silent | closing) | gave_up & waited)

    ours = cols.derived("in_vain", make)
    table = np.zeros(256, bool)
    table[list(kinds)] = True
    return ours & table[cols.evidence("tail_kind")]


def repeats_by_a_timer(cols: Columns) -> Any:
    """Return which rows end with repeats of one end that took the time of a timer.

    A mirror port that copies both directions and a capture of all interfaces of a host hold each packet several times.
    """

    def make(cols: Columns) -> Any:
        last = np.where(by_rst(cols), cols.evidence("before_rst_ns"), cols.number("end_ns"))
        timed = last - cols.evidence("tail_progress_ns") >= _TIMER_NS
        spread = (cols.evidence("tail_packets") == 1) | (last - cols.evidence("tail_start_ns") >= _TIMER_NS)
        return ~are(cols.evidence("tail_by"), Closer.none) & timed & spread

    return cols.derived("by_a_timer", make)


def tail_story(case: Case) -> tuple[str, str, tuple[Proof, ...]]:
    """Return (who sent in vain, how often and how long in words, proof)."""
    end = str(case.ev("tail_by") or "")
    repeats = int(case.ev("tail_packets") or 0)
    began = case.ev("tail_start_ns")
    last = case["first_rst_ns"] or case["end_ns"]
    words = (
        f"{count(repeats, 'time')} over {span(last - began)}" if began is not None else count(repeats, "time")
    )
    proof = []
    if case.ev("tail_progress_ns") is not None:
        proof.append(Proof(0, case.ev("tail_progress_ns"), "last packet that was not a mere repeat"))
    proof.append(
        Proof(int(case.ev("tail_packet") or 0), began, f"first of {count(repeats, 'repeat')} of {the(end)}")
    )
    proof += case.rst_proof(f"RST: {the(end)} gives up") if case.resetter == end else ()
    if case.ev("icmp_packet"):
        proof.append(Proof(int(case.ev("icmp_packet")), case.ev("icmp_ns"), f"ICMP: {icmp_words(case)}"))
    return end, words, tuple(proof)


def black_hole(case: Case, box: Cause) -> tuple[Alternative, ...]:
    """Return what a session that nobody answers any more may also be."""
    end = other_end(str(case.ev("tail_by") or ""))
    possible = True
    if case.gap.get("gap_ns"):
        reason = (
            f"a silence of {span(case.gap['gap_ns'])}, the longest of its phase, came before: a firewall or NAT that "
            "forgot the session looks the same from here"
        )
    elif box is Cause.middlebox_half_closed_timeout:
        reason = (
            "no silence came before, but some firewalls count from the FIN, whatever is sent since "
            f"({span(case['half_closed_ns'])} ago when the session was last seen)"
        )
    else:
        possible = False
        reason = "no silence of 5 s or more came before, and no known firewall or NAT forgets sooner"
    return (
        Alternative(box, possible, reason),
        Alternative(
            Cause.observer_limit, True, f"the answers of {the(end)} may have taken a path that was not seen"
        ),
    )
