"""Signs that a RST was not made by the end it claims to come from (Weaver, Sommer, Paxson: NDSS 2009).

Each sign alone has an innocent explanation, which is written beside it; `accused` needs two of different kinds.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lastack.diagnosis.case import Case, span, the
from lastack.diagnosis.columns import Columns
from lastack.diagnosis.facts import has_rst, of_own_doing, resetter, seen_whole
from lastack.diagnosis.verdict import Proof
from lastack.model.enums import Closer, IpidKind, are
from lastack.model.units import NS_PER_S

TTL_OFF = 2  # hops: routes shift by one, and a NAT on the path takes one
_IPID_STEP = 256  # largest step of what is taken for a counter
_IPID_SLACK = 4096  # a busy host counts for all its connections
_NOT_OVERTAKEN_NS = NS_PER_S // 5  # packets that overtake each other do so within milliseconds


def ttl(cols: Columns) -> Any:
    """Return which RSTs have a TTL outside all that their sender used. Innocent: another host shares the address."""
    me = resetter(cols)
    low, high = cols.of("ttl_low", me, evidence=True), cols.of("ttl_high", me, evidence=True)
    ttl_ = cols.evidence("rst_ttl").astype(np.int64)
    outside = (ttl_ + TTL_OFF <= low.astype(np.int64)) | (ttl_ >= high.astype(np.int64) + TTL_OFF)
    return has_rst(cols) & (low > 0) & outside


def a_hop_off(cols: Columns) -> Any:
    """Return which RSTs have a TTL that their sender never used, by one hop or more: no sign, but a doubt."""
    me = resetter(cols)
    low, high = cols.of("ttl_low", me, evidence=True), cols.of("ttl_high", me, evidence=True)
    return has_rst(cols) & (low > 0) & ((cols.evidence("rst_ttl") < low) | (cols.evidence("rst_ttl") > high))


def ipid(cols: Columns) -> Any:
    """Return which RSTs with ACK do not continue their sender's IP-ID. Innocent: another host has taken the address.

    A RST without ACK is made without a socket and counts by itself. After a silence of its sender the counter may have
    served others. 0 proves nothing.
    """
    kind = cols.of("ipid_kind", resetter(cols), evidence=True)
    jump = cols.number("rst_ipid_jump")
    jumped = cols.present("rst_ipid_jump") & ((jump < 0) | (jump > _IPID_SLACK)) & ~_was_silent(cols)
    named = cols.evidence("rst_ipid") != 0
    return of_own_doing(cols) & named & ((are(kind, IpidKind.counter) & jumped) | are(kind, IpidKind.zero))


def counts_on(cols: Columns) -> Any:
    """Return which RSTs continue the IP-ID counter of their alleged sender as its packets did: it made them itself."""
    jump = cols.number("rst_ipid_jump")
    return cols.present("rst_ipid_jump") & (jump >= 1) & (jump <= _IPID_STEP)


def _was_silent(cols: Columns) -> Any:
    """Return where the RST's alleged sender had sent nothing since the latest entry of the gap profile."""
    me = resetter(cols)
    before = cols.of("packets", me).astype(np.int64) - 1 - cols.of("after_rst", me, evidence=True)
    at_gap = np.where(are(me, Closer.client), cols.last_gap("packets_clt"), cols.last_gap("packets_srv"))
    return cols.has_gap & (before <= at_gap.astype(np.int64))


def race(cols: Columns) -> Any:
    """Return which RSTs their alleged sender did not know of: it sent on, at or beyond their number.

    Innocent: the RST overtook packets on the way. Then data lies below it, and a bare ACK comes at once. A keepalive
    (one below) that comes later is from an end that lives.
    """
    later = cols.evidence("race_ns") - cols.evidence("rst_ns") >= _NOT_OVERTAKEN_NS
    step = cols.evidence("race_seq_step")
    goes_on = ((cols.evidence("race_payload") > 0) & (step >= 0)) | (later & (step >= -1))
    return has_rst(cols) & (cols.evidence("race_packet") > 0) & goes_on


def below(cols: Columns) -> Any:
    """Return which RSTs lie below what their sender had sent. Innocent: an answer to an older acknowledgment.

    An end with state resets at its next number; an answer without ACK takes it from the segment it answers.
    """
    step = cols.evidence("rst_seq_step")
    return of_own_doing(cols) & cols.evidence_present("rst_seq_step") & (step < 0) & ~_silent(cols)


def steps(cols: Columns) -> Any:
    """Return which RSTs come in a row with numbers that their sender never reached. Innocent: lost packets."""
    first, more = cols.evidence("rst_seq_step"), cols.evidence("rst2_seq_step")
    beyond = (cols.evidence("rst_more") > 0) & cols.evidence_present("rst_seq_step") & (first + more > 1)
    return has_rst(cols) & beyond & seen_whole(cols) & ~_silent(cols)


def _silent(cols: Columns) -> Any:
    return cols.evidence("rst_sender_silent").astype(bool)


SIGNS = {"TTL": ttl, "IP-ID": ipid, "race": race, "below": below, "steps": steps}


def signs(cols: Columns) -> Any:
    """Return how many kinds of signs each row has."""

    def count(some: Columns) -> Any:
        return np.sum([sign(some) for sign in SIGNS.values()], axis=0, dtype=np.uint8)

    return cols.derived("signs", lambda cols: cols.where(has_rst(cols), count))


def accused(cols: Columns) -> Any:
    """Return which RSTs have two signs of different kinds, and so do not fit their alleged sender."""
    return has_rst(cols) & ~are(resetter(cols), Closer.none) & (signs(cols) >= 2)


def sign_words(case: Case) -> tuple[Proof, ...]:
    """Return the signs of one session as facts, for people; the same tests as above, one row at a time."""
    end = case.resetter
    if not end:
        return ()
    cols = case.columns
    number, moment = int(case.ev("rst_packet") or 0), case.ev("rst_ns")
    found = []
    if ttl(cols)[0]:
        low, high = case.ev_of("ttl_low", end), case.ev_of("ttl_high", end)
        used = f"{low}" if low == high else f"{low} to {high}"
        found.append(Proof(number, moment, f"its TTL is {case.ev('rst_ttl')}, {the(end)} used {used}"))
    if ipid(cols)[0]:
        kind = case.ev_of("ipid_kind", end)
        usual = "always sent 0" if kind == "zero" else f"counts, and this is {case['rst_ipid_jump']:+,} off"
        found.append(Proof(number, moment, f"its IP-ID is {case.ev('rst_ipid')}, {the(end)} {usual}"))
    if race(cols)[0]:
        later = span(case.ev("race_ns") - case.ev("rst_ns"))
        text = f"{the(end)} goes on {later} later, beyond its own RST"
        found.append(Proof(int(case.ev("race_packet")), case.ev("race_ns"), text))
    if below(cols)[0]:
        found.append(
            Proof(number, moment, f"it lies {-case.ev('rst_seq_step'):,} below what {the(end)} had sent")
        )
    if steps(cols)[0]:
        text = f"a second RST {case.ev('rst2_seq_step'):+,} away, where {the(end)} never was"
        found.append(Proof(int(case.ev("rst2_packet")), case.ev("rst2_ns"), text))
    return tuple(found)


def hop_words(case: Case) -> str:
    """Return what speaks for somebody else having made the RST, to be put behind a clause; empty if nothing does."""
    if not case.resetter or not a_hop_off(case.columns)[0]:
        return ""
    return (
        f"; its TTL is {case.ev('rst_ttl')}, which {the(case.resetter)} did not use before, "
        "and that speaks for a box (or a second host at the address)"
    )
