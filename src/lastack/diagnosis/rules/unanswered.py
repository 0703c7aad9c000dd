"""Nothing answered the SYN."""

from __future__ import annotations

from lastack.diagnosis.case import Case, count, span
from lastack.diagnosis.columns import Columns
from lastack.diagnosis.facts import is_code
from lastack.diagnosis.rule import ATTEMPT, Claim, Rule, Story, claim
from lastack.diagnosis.verdict import Alternative
from lastack.model.enums import Cause, Harm, Opening


def check(cols: Columns) -> Claim:
    """Claim attempts without any answer."""
    return claim(is_code(cols, "opening", Opening.unanswered), 90, harm=Harm.open_failed)


def explain(case: Case) -> Story:
    """Say how often and how long it was tried."""
    tries = int(case["syn_clt"] or 0)
    sentence = f"unanswered: no reply to {count(tries, 'SYN')}"
    if tries > 1:
        sentence += f" over {span(case['end_ns'] - case['start_ns'])}"
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
    return Story(sentence, case.opened_proof(), tuple(alternatives), advice)


RULE = Rule(
    code=Cause.unanswered,
    title="unanswered",
    shape="SYN, and no packet of the server.",
    limits="A host that is down, a firewall that drops and answers on a path that was not captured look the same.",
    needs=("opening",),
    check=check,
    explain=explain,
    scope=ATTEMPT,
)
