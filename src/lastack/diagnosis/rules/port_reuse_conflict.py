"""A SYN that did not get through because an earlier session on the same ports was in the way."""

from __future__ import annotations

from lastack.diagnosis.case import Case, count
from lastack.diagnosis.columns import Columns
from lastack.diagnosis.facts import is_code
from lastack.diagnosis.rule import ATTEMPT, Claim, Rule, Story, claim
from lastack.diagnosis.verdict import Alternative
from lastack.model.enums import Actor, Cause, Harm, Opening


def check(cols: Columns) -> Claim:
    """Claim failed attempts after a session on the same ports that answered their SYN by a challenge ACK."""
    failed = is_code(cols, "opening", Opening.unanswered, Opening.aborted, Opening.half_open)
    return claim(failed & cols.present("previous_id") & cols.challenged, 85, Actor.server, Harm.open_failed)


def explain(case: Case) -> Story:
    """Say which session was in the way."""
    sentence = (
        f"the port was used again too early: {count(case['syn_clt'], 'SYN')} met the earlier session "
        f"{case['previous_id']}, which the server still held and for which it answered (a challenge ACK)"
    )
    alternatives = (
        Alternative(Cause.unanswered, False, "the server did answer, for the earlier session"),
        Alternative(
            Cause.peer_lost_state, True, "the client had crashed and did not know of the earlier session"
        ),
    )
    advice = (
        f"`lastack show {case['previous_id']}` has the challenge ACK and tells how the earlier session ended",
        "look for a NAT or load balancer that reuses ports sooner than the server forgets them",
    )
    return Story(sentence, case.opened_proof(), alternatives, advice)


RULE = Rule(
    code=Cause.port_reuse_conflict,
    title="port used again too early",
    shape="SYN on the ports of an earlier session that answers it by a challenge ACK (RFC 5961); it fails.",
    limits="A middlebox that swallows the SYN because of its own old entry leaves no packet: that is `unanswered`.",
    needs=("opening", "previous_id"),
    check=check,
    explain=explain,
    scope=ATTEMPT,
)
