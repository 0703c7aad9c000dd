"""Cut after a silence while half-closed, as a Half Closed timer of a firewall does."""

from __future__ import annotations

import numpy as np

from lastack.diagnosis.case import Case, count, span
from lastack.diagnosis.columns import Columns
from lastack.diagnosis.foreign import sign_words
from lastack.diagnosis.rule import VERDICT_FROM, Claim, Rule, Story, claim
from lastack.diagnosis.silence import (
    both_talk_in_vain,
    box_sentence,
    half_closed_silence,
    reset_after_silence,
    silence_proof,
)
from lastack.diagnosis.tail import in_vain
from lastack.diagnosis.verdict import Alternative
from lastack.model.enums import Actor, Cause, Harm, TailKind


def check(cols: Columns) -> Claim:
    """Claim sessions cut after a long silence while half-closed; what one end alone meets is only possible."""
    quiet = half_closed_silence(cols)
    strong = cols.where(quiet, both_talk_in_vain) | quiet & reset_after_silence(cols)
    weak = quiet & in_vain(cols, TailKind.data, TailKind.keepalive, TailKind.fin)
    lost = (cols.number("unacked_bytes_clt") > 0) | (cols.number("unacked_bytes_srv") > 0)
    harm = np.where(lost, int(Harm.data_lost), int(Harm.close_lost))
    return claim(strong | weak, np.where(strong, 75, VERDICT_FROM - 10), Actor.middlebox, harm)


def explain(case: Case) -> Story:
    """Say how long the silence was and what came after."""
    sentence = box_sentence(case, "forgets half-closed sessions")
    alternatives = (
        Alternative(Cause.peer_vanished, True, "the path may have failed during the silence"),
        Alternative(
            Cause.data_after_close, False, "the end that had closed did not answer by a RST of its own"
        ),
    )
    advice = (
        f"look for a Half Closed timer of at most {span(case.gap.get('gap_ns'))} on the path "
        f"({count(case['half_closed_bytes'], 'byte')} went the other way before)",
        "`lastack probe` measures it; a longer timer for this application alone is the usual remedy",
    )
    return Story(
        sentence,
        case.fin_proof() + silence_proof(case) + case.rst_proof() + sign_words(case),
        alternatives,
        advice,
    )


RULE = Rule(
    code=Cause.middlebox_half_closed_timeout,
    title="cut by a Half Closed timer",
    shape="Half-closed, a silence of 5 s or more, the longest so far; then both ends send and neither is answered, or "
    "RSTs come that fit no end.",
    limits="One end that meets a black hole after a silence is called `peer_vanished`: a dead host looks the same.",
    needs=("gaps", "ending", "retx_packets_clt", "evidence.tail_kind", "evidence.rst_ttl"),
    check=check,
    explain=explain,
    accuses=True,
)
