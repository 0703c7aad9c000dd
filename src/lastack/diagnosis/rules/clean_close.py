"""Both ends said FIN, and nobody reset."""

from __future__ import annotations

import numpy as np

from lastack.diagnosis.case import Case, count, span, the
from lastack.diagnosis.columns import Columns
from lastack.diagnosis.facts import is_code, unacked
from lastack.diagnosis.rule import Claim, Rule, Story, claim
from lastack.diagnosis.verdict import Alternative, Proof
from lastack.model.enums import Cause, Closer, Ending, Harm, are


def check(cols: Columns) -> Claim:
    """Claim sessions with a FIN of each end and no RST; less sure where bytes below a FIN were not acknowledged."""
    closer = cols.code("first_closer")
    actor = np.where(are(closer, Closer.both), 0, closer)
    left = unacked(cols)
    harm = np.where(left, int(Harm.unknown), int(Harm.none))
    return claim(is_code(cols, "ending", Ending.closed), np.where(left, 70, 95), actor, harm)


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
    left = {end: int(case.of("unacked_bytes", end)) for end in ("client", "server")}
    told = " and ".join(f"{count(n, 'byte')} of {the(end)}" for end, n in left.items() if n)
    if told:
        sentence += f"; {told} had not been acknowledged when the last packet was seen"
    proof = case.fin_proof()
    if case["closed_ns"] is not None:
        proof += (Proof(0, case["closed_ns"], "the second FIN was acknowledged"),)
    if not told:
        return Story(sentence, proof)
    missing = Alternative(
        Cause.observer_limit, True, "acknowledgments may have come later, or were not captured"
    )
    return Story(sentence, proof, (missing,))


RULE = Rule(
    code=Cause.clean_close,
    title="closed cleanly",
    shape="A FIN from each end, and no RST.",
    limits="Whether the application got all it wanted is not visible; a close after half a message is clean too.",
    needs=("ending", "first_closer", "unacked_bytes_clt", "unacked_bytes_srv"),
    check=check,
    explain=explain,
)
