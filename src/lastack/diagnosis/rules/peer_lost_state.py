"""One end had forgotten the session and said so when it was spoken to."""

from __future__ import annotations

import numpy as np

from lastack.diagnosis.case import Case, span, the
from lastack.diagnosis.columns import Columns
from lastack.diagnosis.facts import by_rst, mere_answer, receiver, resetter, sent_fin, unacked
from lastack.diagnosis.foreign import a_hop_off, hop_words
from lastack.diagnosis.rule import Claim, Rule, Story, claim
from lastack.diagnosis.verdict import Alternative, Proof
from lastack.model.enums import Cause, Harm


def check(cols: Columns) -> Claim:
    """Claim RSTs without ACK that answer a segment in mid-session, from an end that had not closed.

    RFC 9293, 3.5.1 (half-open connections) and 3.10.7.1: an end without state answers with seq = the ack it got.
    """
    me, you = resetter(cols), receiver(cols)
    spoke = cols.of("packets", me).astype(np.int64) - cols.of("rst", me) > cols.of("synack", me)
    asked, synack = cols.evidence("before_rst_packet"), cols.evidence("synack_packet")
    late = (synack > 0) & (asked == synack)  # a SYN-ACK that nobody waited for any more
    answer = by_rst(cols) & mere_answer(cols) & ~sent_fin(cols, me) & spoke & ~late
    challenged = answer & (cols.evidence("challenge_packet") > 0)
    repeated = cols.of("keepalives", you) > 0
    sure = np.where(challenged, 90, np.where(a_hop_off(cols), 60, np.where(repeated, 80, 75)))
    return claim(answer, sure, me, np.where(unacked(cols), int(Harm.data_lost), int(Harm.close_lost)))


def explain(case: Case) -> Story:
    """Say what was asked and how the answer shows that the state was gone."""
    end = case.resetter
    proof: tuple[Proof, ...] = ()
    if case.ev("challenge_packet"):
        proof = (
            Proof(
                int(case.ev("challenge_packet")), None, "challenge ACK: the other end still held the session"
            ),
        )
        sentence = (
            f"{the(end)} had lost the session (a crash or a restart), tried to connect again from the same port, "
            "and reset what the other end still held"
        )
    else:
        asked = Proof(
            int(case.ev("before_rst_packet") or 0),
            case.ev("before_rst_ns"),
            f"segment that {the(end)} was to take",
        )
        proof = (asked,)
        sentence = (
            f"consistent with {the(end)} having lost the session (a crash, a restart, an address that moved): its RST "
            "has no ACK and the number of the segment it answers, as a host without that socket makes it"
        )
    alternatives = (
        Alternative(
            Cause.middlebox_idle_timeout,
            True,
            "a firewall that rejects in its name, or that forgot the session, makes the same RST"
            + hop_words(case),
        ),
        Alternative(
            getattr(Cause, f"aborted_by_{end}", Cause.unknown),
            False,
            "an application that aborts resets with ACK",
        ),
        Alternative(Cause.injected_reset, False, "fewer than two signs that somebody else made it"),
    )
    if case.gap.get("gap_ns"):
        proof = (Proof(0, case.gap["start_ns"], f"silence of {span(case.gap['gap_ns'])} begins"), *proof)
    advice = (f"look when {the(end)} or its process started last, and whether its address moved (failover)",)
    return Story(sentence, proof + case.rst_proof(), alternatives, advice)


RULE = Rule(
    code=Cause.peer_lost_state,
    title="lost its state",
    shape="In mid-session, a RST without ACK whose seq is the ack of the segment it answers; no FIN of its sender.",
    limits="A box in the path that rejects in the host's name makes the same RST.",
    needs=(
        "ending",
        "rst_seq",
        "evidence.rst_flags",
        "evidence.before_rst_by",
        "evidence.before_rst_packet",
        "evidence.synack_packet",
        "evidence.challenge_packet",
    ),
    check=check,
    explain=explain,
)
