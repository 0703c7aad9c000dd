"""The server answered and the client never completed the handshake."""

from __future__ import annotations

import numpy as np

from lastack.diagnosis.case import Case, count, span
from lastack.diagnosis.columns import Columns
from lastack.diagnosis.facts import is_code
from lastack.diagnosis.rule import ATTEMPT, Claim, Rule, Story, claim
from lastack.diagnosis.verdict import Alternative, Proof
from lastack.model.enums import Actor, Cause, Harm, Opening


def check(cols: Columns) -> Claim:
    """Claim half-open attempts; surer when the server had to repeat its SYN-ACK."""
    again = cols.number("synack_srv") > 1
    sure = np.where(again, 80, 50)
    return claim(is_code(cols, "opening", Opening.half_open), sure, Actor.client, Harm.open_failed)


def explain(case: Case) -> Story:
    """Say what the server did in vain."""
    answers = int(case["synack_srv"] or 0)
    sentence = f"half-open: the server sent {count(answers, 'SYN-ACK')}, and the client never completed the handshake"
    proof = (
        *case.opened_proof(),
        Proof(
            int(case.ev("synack_packet") or 0),
            None,
            f"SYN-ACK, {span(case['syn_to_synack_ns'])} after the SYN",
        ),
    )
    alternatives = [
        Alternative(
            Cause.syn_flood, False, "too few such attempts on this server at that time to call it a flood"
        ),
        Alternative(Cause.observer_limit, True, "the last ACK may have taken a path that was not captured"),
        Alternative(Cause.probe, False, "a scanner or monitor would have sent a RST"),
    ]
    if answers == 1:
        alternatives.append(
            Alternative(Cause.still_open, True, "the capture may have ended before the last ACK came")
        )
    return Story(
        sentence, proof, tuple(alternatives), ("look whether SYN-ACKs reach the client: capture there",)
    )


RULE = Rule(
    code=Cause.half_open_client_gone,
    title="half-open, client gone",
    shape="SYN and SYN-ACK, and no packet of the client that acknowledges it.",
    limits="A client that vanished, a lost SYN-ACK, a forged address and a lost ACK look the same from one point.",
    needs=("opening", "synack_srv"),
    check=check,
    explain=explain,
    scope=ATTEMPT,
)
