"""One end has closed and the other had not when the capture ended."""

from __future__ import annotations

from lastack.diagnosis.case import Case, count, other_end, span, the
from lastack.diagnosis.columns import Columns
from lastack.diagnosis.facts import is_code
from lastack.diagnosis.rule import Claim, Rule, Story, claim
from lastack.diagnosis.verdict import Alternative, Proof
from lastack.model.enums import Cause, Ending


def check(cols: Columns) -> Claim:
    """Claim sessions with one FIN and no RST."""
    return claim(is_code(cols, "ending", Ending.half_closed), 80)


def explain(case: Case) -> Story:
    """Say who owes a FIN, and since when."""
    closer = str(case["half_closed_by"])
    owes = other_end(closer)
    sentence = (
        f"half-closed when the capture ends: {the(closer)} sent its FIN {span(case['half_closed_ns'])} before the "
        f"last packet, and {the(owes)} has not sent one"
    )
    if case["half_closed_bytes"]:
        sentence += f"; {count(case['half_closed_bytes'], 'byte')} went the other way since"
    proof = (*case.fin_proof(), Proof(0, case["end_ns"], "last packet that was seen"))
    alternatives = (
        Alternative(
            Cause.observer_limit, True, "the other FIN may have come later, or on a path that was not seen"
        ),
    )
    return Story(
        sentence,
        proof,
        alternatives,
        (f"if it stays so: the application of {the(owes)} did not close its socket (CLOSE_WAIT in `ss`)",),
    )


RULE = Rule(
    code=Cause.half_closed_waiting,
    title="half-closed, waiting",
    shape="One FIN, no RST, and nobody sent in vain.",
    limits="Half-close may legally last for ever (RFC 9293, 3.6.1); whether it is meant cannot be seen.",
    needs=("ending",),
    check=check,
    explain=explain,
)
