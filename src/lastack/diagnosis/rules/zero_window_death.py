"""One end kept its window shut until probes of it stayed unanswered, or the other gave up."""

from __future__ import annotations

from lastack.diagnosis.case import Case, other_end, the
from lastack.diagnosis.columns import Columns
from lastack.diagnosis.rule import Claim, Rule, Story, claim
from lastack.diagnosis.tail import black_hole, in_vain, tail_story
from lastack.diagnosis.verdict import Alternative
from lastack.model.enums import Cause, Harm, TailKind


def check(cols: Columns) -> Claim:
    """Claim sessions that end with window probes in vain."""
    return claim(in_vain(cols, TailKind.zero_window), 85, harm=Harm.stalled)


def explain(case: Case) -> Story:
    """Say whose window was shut, and who probed it."""
    end, words, proof = tail_story(case)
    shut = other_end(end)
    sentence = (
        f"{the(shut)} shut its window (its application did not read), and {the(end)} probed it {words} without an "
        "answer"
    )
    alternatives = (
        *black_hole(case, Cause.middlebox_idle_timeout),
        Alternative(Cause.peer_vanished, True, f"{the(shut)} may have died while its window was shut"),
    )
    return Story(sentence, proof, alternatives, (f"look why the application of {the(shut)} stopped reading",))


RULE = Rule(
    code=Cause.zero_window_death,
    title="window stayed shut",
    shape="A window of 0, then three or more probes of it at the end without an answer.",
    limits="Probes that are answered with a window of 0 are a slow reader, not a death.",
    needs=("ending", "evidence.tail_packets", "evidence.tail_kind"),
    check=check,
    explain=explain,
)
