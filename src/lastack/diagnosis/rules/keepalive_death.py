"""Keepalives were no longer answered."""

from __future__ import annotations

from lastack.diagnosis.case import Case, other_end, the
from lastack.diagnosis.columns import Columns
from lastack.diagnosis.rule import Claim, Rule, Story, claim
from lastack.diagnosis.tail import black_hole, in_vain, tail_story
from lastack.diagnosis.verdict import Alternative
from lastack.model.enums import Cause, Harm, TailKind


def check(cols: Columns) -> Claim:
    """Claim sessions that end with keepalives in vain."""
    return claim(in_vain(cols, TailKind.keepalive), 85, harm=Harm.close_lost)


def explain(case: Case) -> Story:
    """Say who probed, how often, and whether it gave up."""
    end, words, proof = tail_story(case)
    sentence = f"{the(end)} sent keepalives {words}, and {the(other_end(end))} answered none"
    if case.resetter == end:
        sentence += f"; {the(end)} then gave up with a RST"
    alternatives = (
        *black_hole(case, Cause.middlebox_idle_timeout),
        Alternative(
            Cause.peer_lost_state, False, "a host that had forgotten the session would have answered by a RST"
        ),
    )
    advice = (
        "if many sessions end so after a like silence: a box forgets them; keepalives must come more often than it "
        "forgets (tcp_keepalive_time)",
    )
    return Story(sentence, proof, alternatives, advice)


RULE = Rule(
    code=Cause.keepalive_death,
    title="keepalives unanswered",
    shape="Three or more keepalives at the end without an answer; or two, and a RST of who sent them.",
    limits="A dead host, a dead path and a firewall that dropped the idle session look the same from one point.",
    needs=("ending", "evidence.tail_packets", "evidence.tail_kind"),
    check=check,
    explain=explain,
)
