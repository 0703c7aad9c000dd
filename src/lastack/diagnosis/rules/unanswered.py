"""Nothing answered the SYN."""

from __future__ import annotations

import numpy as np

from lastack.diagnosis.case import Case, count, span
from lastack.diagnosis.columns import Columns
from lastack.diagnosis.facts import is_code
from lastack.diagnosis.rule import ATTEMPT, Claim, Rule, Story, claim
from lastack.diagnosis.verdict import Alternative
from lastack.model.enums import Cause, Harm, Opening


def check(cols: Columns) -> Claim:
    """Claim attempts without any answer, be it that the client ended them by a RST."""
    silent = is_code(cols, "opening", Opening.unanswered)
    # A client that repeats its SYN and then resets gives up: the RST answers nothing, and ends what never began.
    gave_up = is_code(cols, "opening", Opening.aborted) & (cols.number("packets_srv") == 0)
    return claim(silent | gave_up, np.where(silent, 90, 80), harm=Harm.open_failed)


def explain(case: Case) -> Story:
    """Say how often and how long it was tried."""
    tries = int(case["syn_clt"] or 0)
    sentence = f"unanswered: no reply to {count(tries, 'SYN')}"
    if tries > 1:
        sentence += f" over {span(case['end_ns'] - case['start_ns'])}"
    if case["rst_clt"]:
        sentence += "; then the client gave up and sent a RST"
    alternatives = [
        Alternative(Cause.refused, False, "no RST came back to the observer"),
        Alternative(
            Cause.observer_limit, True, "the answers may take another path than the one that was captured"
        ),
    ]
    if tries == 1:
        alternatives.append(
            Alternative(
                Cause.refused, True, "one SYN that was not repeated: an answer may have passed unseen"
            )
        )
        del alternatives[0]
    advice = (
        "the host is down or a firewall drops: capture behind the firewall, or try from the same network",
    )
    return Story(sentence, case.opened_proof() + case.rst_proof(), tuple(alternatives), advice)


RULE = Rule(
    code=Cause.unanswered,
    title="unanswered",
    shape="SYN, and no packet of the server; a RST of the client after repeated SYNs changes nothing.",
    limits="A host that is down, a firewall that drops and answers on a path that was not captured look the same.",
    needs=("opening", "packets_srv"),
    check=check,
    explain=explain,
    scope=ATTEMPT,
)
