"""Cut after a silence while established, as an idle timer of a firewall or NAT does."""

from __future__ import annotations

import numpy as np

from lastack.diagnosis.case import Case, span
from lastack.diagnosis.columns import Columns
from lastack.diagnosis.foreign import sign_words
from lastack.diagnosis.rule import VERDICT_FROM, Claim, Rule, Story, claim
from lastack.diagnosis.silence import (
    both_talk_in_vain,
    box_sentence,
    idle_silence,
    reset_after_silence,
    silence_proof,
)
from lastack.diagnosis.tail import in_vain
from lastack.diagnosis.verdict import Alternative
from lastack.model.enums import Actor, Cause, Harm, TailKind


def check(cols: Columns) -> Claim:
    """Claim sessions cut after a long silence while established; a black hole that one end meets is only possible."""
    quiet = idle_silence(cols)
    strong = cols.where(quiet, both_talk_in_vain) | quiet & reset_after_silence(cols)
    weak = quiet & in_vain(cols, TailKind.data, TailKind.keepalive, TailKind.fin)
    sure = np.where(strong, 75, VERDICT_FROM - 15)
    return claim(strong | weak, sure, Actor.middlebox, Harm.data_lost)


def explain(case: Case) -> Story:
    """Say how long the silence was and what came after."""
    sentence = box_sentence(case, "forgets idle sessions")
    alternatives = [Alternative(Cause.peer_vanished, True, "the path may have failed during the silence")]
    if case.resetter:
        alternatives.append(
            Alternative(Cause.injected_reset, True, "the RST itself does not say why it was made")
        )
    else:
        alternatives.append(
            Alternative(
                Cause.peer_lost_state, False, "a host that had forgotten it would have answered by a RST"
            )
        )
    if case["rst_clt"] and case["rst_srv"]:
        own = getattr(Cause, f"aborted_by_{case.resetter}", Cause.unknown)
        alternatives.append(
            Alternative(own, True, "the applications of both ends may have the same timer, and reset")
        )
    gap = span(case.gap.get("gap_ns"))
    advice = (
        f"look for an idle timeout of at most {gap} on the path: `lastack profiles` lists those of known boxes",
        "a keepalive more often than that, or a longer timer for this application, keeps such sessions",
    )
    return Story(
        sentence, silence_proof(case) + case.rst_proof() + sign_words(case), tuple(alternatives), advice
    )


RULE = Rule(
    code=Cause.middlebox_idle_timeout,
    title="cut by an idle timer",
    shape="A silence of 30 s or more, the longest so far; then both ends send and neither is answered, or RSTs come "
    "that fit no end, or for both ends sooner than one could answer the other.",
    limits="One end that meets a black hole after a silence is called `peer_vanished`: a dead host looks the same.",
    needs=(
        "gaps",
        "ending",
        "retx_packets_clt",
        "synack_to_ack_ns",
        "rst_ipid_jump",
        "evidence.tail_kind",
        "evidence.rst_ttl",
    ),
    check=check,
    explain=explain,
    accuses=True,
)
