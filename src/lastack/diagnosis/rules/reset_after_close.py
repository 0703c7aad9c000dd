"""A RST that came when both ends had closed."""

from __future__ import annotations

import numpy as np

from lastack.diagnosis.case import Case, count, the
from lastack.diagnosis.columns import Columns
from lastack.diagnosis.facts import is_code, repeated_in_vain
from lastack.diagnosis.rule import Claim, Rule, Story, claim
from lastack.diagnosis.verdict import Alternative
from lastack.model.enums import Cause, Closer, Ending, Harm, are


def check(cols: Columns) -> Claim:
    """Claim sessions with a RST after both FINs; harmless but where an end had repeated in vain what it sent."""
    closer = cols.code("first_closer")
    actor = np.where(are(closer, Closer.both), 0, closer)
    deaf = repeated_in_vain(cols, Closer.client) | repeated_in_vain(cols, Closer.server)
    harm = np.where(deaf, int(Harm.data_lost), int(Harm.none))
    return claim(is_code(cols, "ending", Ending.closed_rst), np.where(deaf, 70, 90), actor, harm)


def explain(case: Case) -> Story:
    """Say that the RST changed nothing, and what the resetter had not read."""
    clean = "both ends closed" if case["harm"] == "data_lost" else "closed cleanly"
    sentence = f"{clean}; the RST of {the(case.resetter)} came when both ends had said FIN and ended nothing"
    alternatives = []
    left = int(case["unacked_bytes_clt"] or 0) + int(case["unacked_bytes_srv"] or 0)
    if left:
        why = "though repeated" if case["harm"] == "data_lost" else "who reset no longer wanted them"
        sentence += f", but {count(left, 'byte')} were never acknowledged: {why}"
        alternatives.append(
            Alternative(
                Cause.stopped_reading, True, "an end that closes while data is on its way resets what comes"
            )
        )
    return Story(sentence, case.fin_proof() + case.rst_proof(), tuple(alternatives))


RULE = Rule(
    code=Cause.reset_after_close,
    title="closed cleanly, then a RST",
    shape="A FIN from each end, then a RST.",
    limits="Many stacks and load balancers do this to save TIME_WAIT; firewalls log such sessions as reset.",
    needs=("ending", "first_closer"),
    check=check,
    explain=explain,
)
