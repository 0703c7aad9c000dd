"""How it ended was not seen."""

from __future__ import annotations

from typing import Any

import numpy as np

from lastack.diagnosis.case import Case, the
from lastack.diagnosis.columns import Columns
from lastack.diagnosis.facts import MANY, by_rst, is_code, mere_answer, of_own_doing, resetter, sent_fin
from lastack.diagnosis.foreign import accused
from lastack.diagnosis.rule import EITHER, Claim, Rule, Story, claim
from lastack.diagnosis.silence import both_talk_in_vain
from lastack.diagnosis.tail import repeats_by_a_timer
from lastack.model.enums import Cause, Ending, Observed, Opening, TailKind, are

SURE = 60  #: percent
SHORT = 20  #: packets: if one of fewer is missing, it may well have been the last

_SEEN = {
    "one_way": "only one direction was captured",
    "evicted": "the session table was full, and it left before it ended",
    "start_missing": "its beginning was not captured, and too little of the rest",
    "lossy": "packets are missing from the capture where it was closing",
}
_ADVICE = {
    "one_way": "capture both directions: check the SPAN port, or the other leg of an asymmetric path",
    "evicted": "a larger --max-sessions keeps it to its end",
    "start_missing": "start the capture before the session opens",
    "lossy": "look for drops of the capture itself (`capinfos`, counters of the SPAN port)",
}


def check(cols: Columns) -> Claim:
    """Claim sessions of which too little was seen to say how they ended."""
    observed = cols.code("observed")
    unfinished = is_code(cols, "ending", Ending.open, Ending.half_closed, Ending.vanished)
    lost = by_rst(cols)
    blind = are(observed, Observed.evicted) & (unfinished | is_code(cols, "ending", Ending.never_opened))
    blind |= are(observed, Observed.one_way) & (unfinished | lost)
    blind |= is_code(cols, "opening", Opening.synack_only)
    # A FIN that was sent and not captured leaves a session that seems to wait.
    half = is_code(cols, "ending", Ending.half_closed)
    blind |= half & are(observed, Observed.lossy)
    late = are(observed, Observed.start_missing)
    nothing = (cols.number("bytes_clt") == 0) & (cols.number("bytes_srv") == 0)
    blind |= late & is_code(cols, "opening", Opening.midstream) & unfinished & nothing
    blind |= late & half & (cols.number("half_closed_bytes") == 0)
    blind |= late & lost & cols.evidence("rst_sender_silent").astype(bool)
    short = are(observed, Observed.lossy) & (_packets(cols) < SHORT)
    blind |= short & is_code(cols, "ending", Ending.open)
    # What was in flight when an end reset cannot be told where packets are missing; who forged one, or repeated, can.
    own = short & lost & (cols.evidence("tail_packets") == 0)
    blind |= cols.where(own, lambda some: of_own_doing(some) & ~accused(some))
    # An end whose FIN was acknowledged and never captured answers what comes late, and has lost nothing.
    beyond = lost & (cols.evidence("rst_seq_step") > 0)
    blind |= cols.where(beyond, lambda some: mere_answer(some) & ~sent_fin(some, resetter(some)))
    blind |= _repeating(cols) | _deaf(cols)
    return claim(blind, SURE, resetter(cols))


def _packets(cols: Columns) -> Any:
    return cols.number("packets_clt").astype(np.int64) + cols.number("packets_srv").astype(np.int64)


def _repeating(cols: Columns) -> Any:
    """Return where the capture ends while an end repeats itself: whether it was heard in the end is not there."""
    repeats = cols.evidence("tail_packets")
    few = (repeats > 0) & (repeats < MANY) & ~are(cols.evidence("tail_kind"), TailKind.syn)
    live = few & is_code(cols, "ending", Ending.open, Ending.half_closed) & repeats_by_a_timer(cols)
    return cols.where(live, lambda some: ~both_talk_in_vain(some))


def _deaf(cols: Columns) -> Any:
    """Return where an attempt had an answer that was not captured, or may have had one.

    A client repeats a SYN that is not answered, and resets nothing before there is an answer. One SYN in a run without
    any session of which both ends were seen says nothing.
    """
    alone = (cols.number("packets_srv") == 0) & (cols.number("syn_clt") == 1)
    one_way = cols.around is not None and not cols.around.both_ways
    silent = is_code(cols, "opening", Opening.unanswered) & one_way
    reset = is_code(cols, "opening", Opening.aborted) & (cols.number("rst_clt") > 0)
    return alone & (silent | reset)


def explain(case: Case) -> Story:
    """Say what the observer lacked."""
    why = str(case["observed"])
    sentence = f"how it ended cannot be told: {_why(case, why)}"
    proof = (*case.opened_proof(), *case.fin_proof(), *case.rst_proof())
    if case.resetter:
        sentence += f"; the RST of {the(case.resetter)} is there, but not what led to it"
    advice = (_ADVICE[why],) if why in _ADVICE else ()
    return Story(sentence, proof, (), advice)


def _why(case: Case, observed: str) -> str:
    if case["ending"] == "never_opened" and not case["packets_srv"]:
        return "no packet of the server was captured, though it must have answered or others were not heard either"
    if case.ev("tail_packets") and observed == "end_missing":
        return f"the capture ends while {the(str(case.ev('tail_by')))} repeats itself without an answer"
    return _SEEN.get(observed, "too little of it was captured")


RULE = Rule(
    code=Cause.observer_limit,
    title="not seen",
    shape="One direction only, cut at the start or the end, or evicted from a full table.",
    limits="Says nothing about the session: another capture point may tell.",
    needs=("observed", "ending", "opening", "evidence.rst_sender_silent"),
    check=check,
    explain=explain,
    scope=EITHER,
)
