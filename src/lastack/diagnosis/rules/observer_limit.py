"""How it ended was not seen."""

from __future__ import annotations

from lastack.diagnosis.case import Case, the
from lastack.diagnosis.columns import Columns
from lastack.diagnosis.facts import by_rst, is_code, resetter
from lastack.diagnosis.rule import EITHER, Claim, Rule, Story, claim
from lastack.model.enums import Cause, Ending, Observed, Opening

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
    blind = (observed == Observed.evicted) & (unfinished | is_code(cols, "ending", Ending.never_opened))
    blind |= (observed == Observed.one_way) & (unfinished | lost)
    blind |= is_code(cols, "opening", Opening.synack_only)
    # A FIN that was sent and not captured leaves a session that seems to wait.
    half = is_code(cols, "ending", Ending.half_closed)
    blind |= half & (observed == Observed.lossy)
    late = observed == Observed.start_missing
    nothing = (cols.number("bytes_clt") == 0) & (cols.number("bytes_srv") == 0)
    blind |= late & is_code(cols, "opening", Opening.midstream) & unfinished & nothing
    blind |= late & half & (cols.number("half_closed_bytes") == 0)
    blind |= late & lost & cols.evidence("rst_sender_silent").astype(bool)
    return claim(blind, 60, resetter(cols))


def explain(case: Case) -> Story:
    """Say what the observer lacked."""
    why = str(case["observed"])
    sentence = f"how it ended cannot be told: {_SEEN.get(why, 'too little of it was captured')}"
    proof = (*case.opened_proof(), *case.fin_proof(), *case.rst_proof())
    if case.resetter:
        sentence += f"; the RST of {the(case.resetter)} is there, but not what led to it"
    advice = (_ADVICE[why],) if why in _ADVICE else ()
    return Story(sentence, proof, (), advice)


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
