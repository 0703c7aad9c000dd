"""A SYN that did not get through because an earlier session on the same ports was in the way."""

from __future__ import annotations

from lastack.diagnosis.case import Case, count
from lastack.diagnosis.columns import Columns
from lastack.diagnosis.facts import is_code
from lastack.diagnosis.rule import ATTEMPT, Claim, Rule, Story, claim
from lastack.diagnosis.verdict import Alternative, Proof
from lastack.model.enums import Actor, Cause, Harm, Opening


def check(cols: Columns) -> Claim:
    """Claim failed attempts with an earlier session on their ports whose other end answered by a challenge ACK."""
    failed = is_code(cols, "opening", Opening.unanswered, Opening.refused, Opening.aborted, Opening.half_open)
    challenged = cols.evidence("challenge_packet") > 0
    return claim(failed & cols.present("previous_id") & challenged, 85, Actor.server, Harm.open_failed)


def explain(case: Case) -> Story:
    """Say which session was in the way."""
    sentence = (
        f"the port was used again too early: {count(case['syn_clt'], 'SYN')} met the earlier session "
        f"{case['previous_id']}, which the server still held, and a bare ACK answered instead of a SYN-ACK"
    )
    proof = (
        *case.opened_proof(),
        Proof(
            int(case.ev("challenge_packet") or 0),
            None,
            "challenge ACK of the earlier session (RFC 5961, 4.2)",
        ),
    )
    alternatives = (Alternative(Cause.unanswered, False, "the server did answer, for the earlier session"),)
    advice = (
        f"`lastack show {case['previous_id']}` tells how the earlier session ended",
        "look for a NAT or load balancer that reuses ports sooner than the server forgets them",
    )
    return Story(sentence, proof, alternatives, advice)


RULE = Rule(
    code=Cause.port_reuse_conflict,
    title="port used again too early",
    shape="SYN on the ports of an earlier session, answered by a bare ACK of that session or not at all.",
    limits="A middlebox that swallows the SYN because of its own old entry leaves no packet: that is `unanswered`.",
    needs=("opening", "previous_id", "evidence.challenge_packet"),
    check=check,
    explain=explain,
    scope=ATTEMPT,
)
