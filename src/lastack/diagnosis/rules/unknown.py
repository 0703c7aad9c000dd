"""Nothing that was seen says why."""

from __future__ import annotations

import numpy as np

from lastack.diagnosis.case import Case
from lastack.diagnosis.columns import Columns
from lastack.diagnosis.rule import EITHER, Claim, Rule, Story, claim
from lastack.model.enums import Cause


def check(cols: Columns) -> Claim:
    """Claim nothing: it is what remains."""
    return claim(np.zeros(cols.n, bool), 0)


def explain(case: Case) -> Story:
    """Say that a lone packet is no session, or that no rule applies."""
    if case["opening"] == "stray":
        return Story(
            "a packet without a session: backscatter of a scan or flood, or the rest of a session that was not seen",
            case.opened_proof(),
        )
    return Story("why it ended cannot be told from what was seen", case.opened_proof() + case.rst_proof())


RULE = Rule(
    code=Cause.unknown,
    title="unknown",
    shape="No rule applies; stray packets without a session.",
    limits="",
    needs=(),
    check=check,
    explain=explain,
    scope=EITHER,
)
