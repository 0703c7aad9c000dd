"""An ICMP error answered the SYN."""

from __future__ import annotations

from lastack.diagnosis.case import Case
from lastack.diagnosis.columns import Columns
from lastack.diagnosis.facts import is_code
from lastack.diagnosis.icmp import icmp_words
from lastack.diagnosis.rule import ATTEMPT, Claim, Rule, Story, claim
from lastack.diagnosis.verdict import Alternative, Proof
from lastack.model.enums import Actor, Cause, Harm, Opening


def check(cols: Columns) -> Claim:
    """Claim attempts that only an ICMP error answered."""
    return claim(is_code(cols, "opening", Opening.refused_icmp), 90, Actor.network, Harm.open_failed)


def explain(case: Case) -> Story:
    """Say what the ICMP error was."""
    said = icmp_words(case)
    what = f"an ICMP error ({said}) answered the SYN" if said else "an ICMP error answered the SYN"
    proof = case.opened_proof()
    if case.ev("icmp_packet"):
        proof += (Proof(int(case.ev("icmp_packet")), case.ev("icmp_ns"), f"ICMP: {said}"),)
    alternatives = (
        Alternative(Cause.unanswered, False, "a router or firewall said why the SYN went no further"),
    )
    return Story(
        f"refused: {what}", proof, alternatives, ("its sender, in the outer header, is the box to look at",)
    )


RULE = Rule(
    code=Cause.refused_icmp,
    title="refused by ICMP",
    shape="SYN, no answer of the server, and an ICMP error that quotes the SYN.",
    limits="Errors are rate-limited and filtered, so their absence says nothing.",
    needs=("opening",),
    check=check,
    explain=explain,
    scope=ATTEMPT,
)
