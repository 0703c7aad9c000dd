"""SYN, SYN-ACK, RST: somebody wanted to know whether the port is open."""

from __future__ import annotations

from lastack.diagnosis.case import Case
from lastack.diagnosis.columns import Columns
from lastack.diagnosis.facts import is_code, resetter
from lastack.diagnosis.rule import ATTEMPT, Claim, Rule, Story, claim
from lastack.diagnosis.verdict import Alternative
from lastack.model.enums import Actor, Cause, Closer, Harm, Opening, are


def check(cols: Columns) -> Claim:
    """Claim attempts that the client reset at the first SYN-ACK."""
    quick = (cols.number("synack_srv") == 1) & (cols.number("syn_clt") == 1)
    ours = is_code(cols, "opening", Opening.aborted) & are(resetter(cols), Closer.client) & quick
    return claim(ours, 70, Actor.client, Harm.none)


def explain(case: Case) -> Story:
    """Say what probes look like."""
    sentence = (
        "a probe: SYN, SYN-ACK and at once a RST of the client, as scanners and half-open monitors send"
    )
    alternatives = (
        Alternative(
            Cause.aborted_by_client, True, "a client that gave up just before the SYN-ACK came does the same"
        ),
        Alternative(Cause.refused, False, "the server answered with a SYN-ACK: the port is open"),
    )
    advice = (
        "`lastack sessions -f 'client.ip = …'` tells a monitor (one port, regularly) from a scan (many ports)",
    )
    return Story(sentence, case.opened_proof() + case.rst_proof(), alternatives, advice)


RULE = Rule(
    code=Cause.probe,
    title="probe",
    shape="One SYN, one SYN-ACK, and a RST of the client.",
    limits="Scan, half-open monitor and a client that gave up early differ only over many sessions.",
    needs=("opening", "syn_clt", "synack_srv", "evidence.rst_by"),
    check=check,
    explain=explain,
    scope=ATTEMPT,
)
