"""What a middlebox's timer leaves behind: a silence longer than any before, and then nothing is as it was.

Only two shapes accuse a box from a single session, for a host that died leaves nearly the same packets:
*both talk*: after the silence each end sends, and neither is answered; *foreign reset*: the RSTs that come
after it do not fit the ends (two signs), or come for both ends, sooner than one of them could answer the other's, with
nothing else that they could answer.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lastack.diagnosis.case import Case, span
from lastack.diagnosis.columns import Columns
from lastack.diagnosis.facts import (
    after_silence,
    by_rst,
    is_code,
    receiver,
    seen_whole,
    silence_ns,
    waits_for_ack,
)
from lastack.diagnosis.foreign import accused, counts_on
from lastack.diagnosis.verdict import Proof
from lastack.model.enums import Closer, Ending, TimerPhase, are
from lastack.model.units import NS_PER_S

#: Shortest silence that a timer of a box may be blamed for, by what the box would call the session.
IDLE_FROM_NS = 30 * NS_PER_S
HALF_FROM_NS = 5 * NS_PER_S
_REPEATS = 2  # of each end, in vain
_NEW = 2  # packets of an end that are no repeats
_AWAKE_NS = NS_PER_S // 2  # two repeats by the shortest timers (200 ms and twice that)


def half_closed_silence(cols: Columns) -> Any:
    """Return which rows have a long silence while half-closed, the latest of the profile."""
    return _silence(cols, (TimerPhase.fin1, TimerPhase.fin1_acked), HALF_FROM_NS)


def idle_silence(cols: Columns) -> Any:
    """Return which rows have a long silence while established, the latest of the profile."""
    return _silence(cols, (TimerPhase.established, TimerPhase.midstream), IDLE_FROM_NS)


def _silence(cols: Columns, phases: tuple[TimerPhase, ...], floor_ns: int) -> Any:
    table = np.zeros(256, bool)
    table[list(phases)] = True
    return cols.has_gap & table[cols.last_gap("phase")] & (cols.last_gap("gap_ns") >= floor_ns)


def both_talk_in_vain(cols: Columns) -> Any:
    """Return where both ends sent after the silence, repeated themselves, and neither was heard.

    An end that has nothing to send shows that it lives by keepalives; they acknowledge nothing of what the other sends.
    """

    def make(cols: Columns) -> Any:
        clt, srv = _repeats_data(cols, "clt"), _repeats_data(cols, "srv")
        heard_of = clt & srv | clt & _only_probes(cols, "srv") | srv & _only_probes(cols, "clt")
        unfinished = ~by_rst(cols) & ~is_code(cols, "ending", Ending.closed_rst, Ending.never_opened)
        awake_ns = cols.number("end_ns") - cols.last_gap("start_ns") - cols.last_gap("gap_ns")
        stuck = (
            (awake_ns >= _AWAKE_NS) & _nothing_got_through(cols, "clt") & _nothing_got_through(cols, "srv")
        )
        return unfinished & heard_of & stuck & seen_whole(cols)

    return cols.derived("both_talk", make)


def _nothing_got_through(cols: Columns, side: str) -> Any:
    """Return where all of an end's bytes before the silence were acknowledged, each sent once, and none after it.

    What it had repeated before cannot be told from what it repeats in vain: neither can the copies of a mirror port.
    """
    acked = cols.number(f"new_bytes_{side}").astype(np.int64) - cols.number(f"unacked_bytes_{side}")
    more = cols.last_gap(f"bytes_{side}").astype(np.int64) - acked
    return (more >= 0) & (more <= cols.number(f"keepalives_{side}"))


def _repeats_data(cols: Columns, side: str) -> Any:
    """Return where an end repeats data or a FIN after the silence, and sends hardly anything else.

    An answer to each of the other end's probes would be more than that.
    """
    again = cols.number(f"retx_packets_{side}").astype(np.int64)
    after = after_silence(cols, side)
    return waits_for_ack(cols, side) & (again >= _REPEATS) & (after > _REPEATS) & (after - again <= _NEW)


def _only_probes(cols: Columns, side: str) -> Any:
    """Return where an end sends nothing after the silence but keepalives and repeats."""
    alive = cols.number(f"keepalives_{side}").astype(np.int64)
    after = after_silence(cols, side)
    return (alive > 0) & (after >= _REPEATS) & (after <= alive + cols.number(f"retx_packets_{side}"))


def both_reset(cols: Columns) -> Any:
    """Return where the silence ends with RSTs for both ends at once, and nothing else.

    Ends may reset each other too: those of a Multipath TCP subflow answer a RST by one of their own, a round trip
    later.
    """

    def make(cols: Columns) -> Any:
        resets = cols.number("rst_clt").astype(np.int64) + cols.number("rst_srv")
        after = after_silence(cols, "clt") + after_silence(cols, "srv")
        each = (cols.number("rst_clt") > 0) & (cols.number("rst_srv") > 0)
        nothing = (after == resets) & (
            cols.evidence("rst_seq_step") == 0
        )  # else data woke it, and was not captured
        whole = seen_whole(cols) & (silence_ns(cols) >= IDLE_FROM_NS)
        return by_rst(cols) & each & nothing & whole & _sooner_than_an_answer(cols) & ~counts_on(cols)

    return cols.derived("both_reset", make)


def _sooner_than_an_answer(cols: Columns) -> Any:
    """Return where all RSTs came in half the time that whom the first was sent to took in the handshake to answer.

    A handshake with repeats does not tell that time.
    """
    to_client = are(receiver(cols), Closer.client)
    name = ("syn_to_synack_ns", "synack_to_ack_ns")
    answer_ns = np.where(to_client, cols.number(name[1]), cols.number(name[0]))
    known = np.where(to_client, cols.present(name[1]), cols.present(name[0]))
    known &= (cols.number("syn_clt") == 1) & (cols.number("synack_srv") == 1)
    return known & (2 * (cols.number("end_ns") - cols.number("first_rst_ns")) < answer_ns)


def reset_after_silence(cols: Columns) -> Any:
    """Return where a foreign RST comes after a long silence, with no progress in between."""

    def make(cols: Columns) -> Any:
        return cols.where((half_closed_silence(cols) | idle_silence(cols)) & by_rst(cols), reset)

    def reset(cols: Columns) -> Any:
        resets = cols.number("rst_clt").astype(np.int64) + cols.number("rst_srv")
        later = cols.evidence("after_rst_clt").astype(np.int64) + cols.evidence("after_rst_srv")
        after = after_silence(cols, "clt") + after_silence(cols, "srv")
        woke = after - np.maximum(later + 1, resets) <= _WOKE  # packets that ran into the RST
        ended = cols.last_gap("start_ns") + cols.last_gap("gap_ns") <= cols.number("first_rst_ns")
        return ended & ((accused(cols) & woke) | both_reset(cols))

    return cols.derived("reset_after_silence", make)


_WOKE = 4


def silence_proof(case: Case) -> tuple[Proof, ...]:
    """Return the silence as proof."""
    gap = case.gap
    if not gap.get("gap_ns"):
        return ()
    phase = str(gap["phase"]).replace("_", " ")
    return (Proof(0, gap["start_ns"], f"silence of {span(gap['gap_ns'])} begins, the longest while {phase}"),)


def box_sentence(case: Case, what: str) -> str:
    """Say how the session was cut after its silence."""
    if case.ev("rst_packet") and case["ending"] in ("rst", "fin_rst"):
        how = (
            "RSTs came for both ends at once"
            if case["rst_clt"] and case["rst_srv"]
            else "a RST came that fits no end"
        )
    else:
        how = "both ends went on sending, and neither was answered"
    return (
        f"consistent with a firewall or NAT that {what}: after a silence of {span(case.gap.get('gap_ns'))}, longer "
        f"than any before in that phase, {how}"
    )
