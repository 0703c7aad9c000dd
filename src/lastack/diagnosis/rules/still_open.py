"""Nobody closed before the capture ended."""

from __future__ import annotations

from lastack.diagnosis.case import Case, span
from lastack.diagnosis.columns import Columns
from lastack.diagnosis.facts import is_code
from lastack.diagnosis.rule import Claim, Rule, Story, claim
from lastack.diagnosis.verdict import Proof
from lastack.model.enums import Cause, Ending


def check(cols: Columns) -> Claim:
    """Claim sessions without FIN and RST, also where the last packet is there three times more: those are copies."""
    return claim(is_code(cols, "ending", Ending.open, Ending.vanished), 90)


def explain(case: Case) -> Story:
    """Say how long it had been open, and what is not acknowledged."""
    age = span(case["end_ns"] - case["start_ns"])
    proof = (*case.opened_proof(), Proof(0, case["end_ns"], "last packet that was seen"))
    return Story(f"still open when the capture ends, {age} after its first packet", proof)


RULE = Rule(
    code=Cause.still_open,
    title="still open",
    shape="No FIN and no RST, and nobody sent in vain.",
    limits="A session that was quiet for hours may be dead at both ends; without a packet nobody can tell.",
    needs=("ending",),
    check=check,
    explain=explain,
)
