"""Nobody closed before the capture ended."""

from __future__ import annotations

import numpy as np

from lastack.diagnosis.case import Case, span, the
from lastack.diagnosis.columns import Columns
from lastack.diagnosis.facts import has_rst, is_code
from lastack.diagnosis.rule import Claim, Rule, Story, claim
from lastack.diagnosis.verdict import Proof
from lastack.model.enums import Cause, Ending


def check(cols: Columns) -> Claim:
    """Claim sessions without a FIN and a RST that fits, or whose last packet is there three times more: as copies."""
    return claim(is_code(cols, "ending", Ending.open, Ending.vanished), np.where(has_rst(cols), 60, 90))


def explain(case: Case) -> Story:
    """Say how long it had been open, and what is not acknowledged."""
    age = span(case["end_ns"] - case["start_ns"])
    proof = (*case.opened_proof(), Proof(0, case["end_ns"], "last packet that was seen"))
    sentence = f"still open when the capture ends, {age} after its first packet"
    if case.ev("rst_packet") or case.resetter:
        sentence += f"; {the(case.resetter)} sent a RST that, as far as was seen, did not end it"
        proof = (*case.opened_proof(), *case.rst_proof(), *proof[1:])
    return Story(sentence, proof)


RULE = Rule(
    code=Cause.still_open,
    title="still open",
    shape="No FIN and no RST that fits, and nobody sent in vain.",
    limits="A session that was quiet for hours may be dead at both ends; without a packet nobody can tell.",
    needs=("ending", "evidence.rst_by"),
    check=check,
    explain=explain,
)
