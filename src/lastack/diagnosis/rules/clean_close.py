"""Both ends said FIN, and nobody reset."""

from __future__ import annotations

import numpy as np

from lastack.diagnosis.case import Case, count, span
from lastack.diagnosis.columns import Columns
from lastack.diagnosis.facts import is_code
from lastack.diagnosis.rule import Claim, Rule, Story, claim
from lastack.diagnosis.verdict import Proof
from lastack.model.enums import Cause, Closer, Ending, Harm


def check(cols: Columns) -> Claim:
    """Claim sessions with a FIN of each end and no RST."""
    closer = cols.code("first_closer")
    actor = np.where(closer == Closer.both, 0, closer)
    return claim(is_code(cols, "ending", Ending.closed), 95, actor, Harm.none)


def explain(case: Case) -> Story:
    """Say who closed first and what went the other way meanwhile."""
    closer = str(case["first_closer"])
    who = "both at once" if closer == "both" else f"the {closer} first"
    sentence = f"closed cleanly: a FIN from each end, {who}"
    if case["half_closed_bytes"]:
        sentence += (
            f"; half-closed for {span(case['half_closed_ns'])}, while "
            f"{count(case['half_closed_bytes'], 'byte')} went the other way"
        )
    proof = case.fin_proof()
    if case["closed_ns"] is not None:
        proof += (Proof(0, case["closed_ns"], "the second FIN was acknowledged"),)
    return Story(sentence, proof)


RULE = Rule(
    code=Cause.clean_close,
    title="closed cleanly",
    shape="A FIN from each end, and no RST.",
    limits="Whether the application got all it wanted is not visible; a close after half a message is clean too.",
    needs=("ending", "first_closer"),
    check=check,
    explain=explain,
)
