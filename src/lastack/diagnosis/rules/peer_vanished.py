"""Data or a FIN was sent again and again, and nobody answered."""

from __future__ import annotations

import numpy as np

from lastack.diagnosis.case import Case, other_end, the
from lastack.diagnosis.columns import Columns
from lastack.diagnosis.facts import is_code
from lastack.diagnosis.icmp import icmp_words
from lastack.diagnosis.rule import Claim, Rule, Story, claim
from lastack.diagnosis.tail import black_hole, in_vain, tail_story
from lastack.model.enums import Actor, Cause, Ending, Harm, TailKind


def check(cols: Columns) -> Claim:
    """Claim sessions that end with data or a FIN repeated in vain."""
    data, fin = in_vain(cols, TailKind.data), in_vain(cols, TailKind.fin)
    unknown = is_code(cols, "ending", Ending.vanished) & ~cols.has_evidence
    told = cols.evidence("icmp_packet") > 0
    harm = np.where(fin, int(Harm.close_lost), int(Harm.stalled))
    actor = np.where(told, int(Actor.network), int(Actor.unknown))
    sure = np.where(told, 85, np.where(unknown, 60, 70))
    return claim(data | fin | unknown, sure, actor, harm)


def explain(case: Case) -> Story:
    """Say who sent in vain and who fell silent."""
    end, words, proof = tail_story(case)
    box = (
        Cause.middlebox_half_closed_timeout
        if case["half_closed_by"] != "none"
        else Cause.middlebox_idle_timeout
    )
    what = "its FIN" if case.ev("tail_kind") == "fin" else "its data"
    sentence = (
        f"consistent with {the(other_end(end))} having vanished, or the path to it: {the(end)} sent {what} again "
        f"{words}, and nothing came back"
    )
    if case.ev("icmp_packet"):
        said = icmp_words(case)
        sentence = f"{the(end)} sent {what} again {words}, and instead of an answer the network said: {said}"
    advice = (
        f"look whether {the(other_end(end))} was up and reachable at that time, and for a firewall whose session "
        "ended then",
    )
    return Story(sentence, proof, black_hole(case, box), advice)


RULE = Rule(
    code=Cause.peer_vanished,
    title="peer vanished",
    shape="Three or more repeats of data or a FIN at the end, unanswered.",
    limits="A dead host, a dead path and a firewall that dropped the session look the same from one point.",
    needs=("ending", "evidence.tail_packets", "evidence.tail_kind", "evidence.icmp_packet"),
    check=check,
    explain=explain,
)
