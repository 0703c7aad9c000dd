"""A RST answered the SYN."""

from __future__ import annotations

from lastack.diagnosis.case import Case, count
from lastack.diagnosis.columns import Columns
from lastack.diagnosis.facts import is_code
from lastack.diagnosis.rule import ATTEMPT, Claim, Rule, Story, claim
from lastack.diagnosis.verdict import Alternative
from lastack.model.enums import Actor, Cause, Harm, Opening


def check(cols: Columns) -> Claim:
    """Claim attempts that the other end reset before any SYN-ACK."""
    return claim(is_code(cols, "opening", Opening.refused), 95, Actor.server, Harm.open_failed)


def explain(case: Case) -> Story:
    """Say what was refused, and how often it was tried."""
    sentence = f"refused: a RST answered the SYN to port {case['server_port']}"
    if int(case["syn_clt"] or 0) > 1:
        sentence += f" ({count(case['syn_clt'], 'SYN')} of the same attempt)"
    alternatives = (
        Alternative(Cause.unanswered, False, "the RST acknowledges the SYN, so somebody answered it"),
        Alternative(Cause.probe, True, "a scan of closed ports looks the same; look for its other attempts"),
    )
    advice = (
        "nobody listens there, or a firewall rejects in the server's name: look for the port with `ss -ltn`",
    )
    return Story(sentence, case.opened_proof() + case.rst_proof(), alternatives, advice)


RULE = Rule(
    code=Cause.refused,
    title="refused",
    shape="SYN, and a RST that acknowledges it.",
    limits="A firewall that rejects with a RST cannot be told from a host where nobody listens.",
    needs=("opening",),
    check=check,
    explain=explain,
    scope=ATTEMPT,
)
