"""The RST does not fit the end that it claims to come from."""

from __future__ import annotations

import numpy as np

from lastack.diagnosis.case import Case, the
from lastack.diagnosis.columns import Columns
from lastack.diagnosis.facts import by_rst, has_rst, is_code, unacked
from lastack.diagnosis.foreign import accused, sign_words, signs
from lastack.diagnosis.rule import VERDICT_FROM, Claim, Rule, Story, claim
from lastack.diagnosis.silence import reset_after_silence
from lastack.diagnosis.verdict import Alternative
from lastack.model.enums import Actor, Cause, Ending, Harm, Observed


def check(cols: Columns) -> Claim:
    """Claim RSTs with two or more signs of different kinds that somebody else made them; one is only possible."""
    ended = by_rst(cols) | (
        has_rst(cols) & is_code(cols, "ending", Ending.open, Ending.closed, Ending.closed_rst)
    )
    seen = ~is_code(cols, "observed", Observed.one_way, Observed.evicted)
    sure = np.minimum(95, 60 + 15 * (signs(cols).astype(np.int64) - 1))
    ours = ended & seen & ~reset_after_silence(cols)
    harm = np.where(by_rst(cols) | unacked(cols), int(Harm.data_lost), int(Harm.none))
    weak = np.where(signs(cols) == 1, VERDICT_FROM - 20, 0)
    return claim(ours & (signs(cols) >= 1), np.where(accused(cols), sure, weak), Actor.middlebox, harm)


def explain(case: Case) -> Story:
    """Say which signs there are."""
    end = case.resetter
    found = sign_words(case)
    sentence = (
        f"consistent with a RST that somebody between the ends made in the name of {the(end)}: "
        + "; ".join(proof.shows for proof in found)
    )
    alternatives = (
        Alternative(
            getattr(Cause, f"aborted_by_{end}", Cause.unknown),
            True,
            "a proxy or a second host that shares the address",
        ),
        Alternative(
            Cause.middlebox_idle_timeout, False, "no silence came before in which a timer could have run out"
        ),
    )
    advice = (
        f"capture next to {the(end)}: if it did not send this RST, a box in the path did",
        "look for intrusion prevention, a proxy, a load balancer or content filtering on the path",
    )
    return Story(sentence, case.rst_proof() + found, alternatives, advice)


RULE = Rule(
    code=Cause.injected_reset,
    title="RST of somebody else",
    shape="A RST with at least two signs of different kinds: TTL, IP-ID, its sender goes on, it lies below what was "
    "sent, it is repeated with impossible numbers.",
    limits="Never on one sign: a proxy, another host at the address, or loss explains each of them alone.",
    needs=(
        "evidence.rst_ttl",
        "evidence.rst_ipid",
        "evidence.race_packet",
        "evidence.rst_seq_step",
        "evidence.rst_more",
    ),
    check=check,
    explain=explain,
    accuses=True,
)
