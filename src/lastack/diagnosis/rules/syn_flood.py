"""One of many half-open attempts on the same server within a minute."""

from __future__ import annotations

import numpy as np

from lastack.diagnosis.case import Case
from lastack.diagnosis.columns import Columns
from lastack.diagnosis.crowd import CLIENTS, CROWD
from lastack.diagnosis.facts import is_code
from lastack.diagnosis.rule import ATTEMPT, Claim, Rule, Story, claim
from lastack.diagnosis.rules.half_open_client_gone import explain as explain_one
from lastack.diagnosis.verdict import Alternative
from lastack.model.enums import Actor, Cause, Harm, Opening


def check(cols: Columns) -> Claim:
    """Claim half-open attempts that are part of a crowd."""
    half_open = is_code(cols, "opening", Opening.half_open)
    crowd = cols.around.crowd if cols.around is not None else None
    if crowd is None or not half_open.any():
        return claim(np.zeros(cols.n, bool), 0)
    return claim(half_open & crowd.holds_rows(cols), 80, Actor.client, Harm.open_failed)


def explain(case: Case) -> Story:
    """Say that it is one of many."""
    one = explain_one(case)
    sentence = (
        f"half-open, one of at least {CROWD} from {CLIENTS} or more addresses on this server within a minute: "
        "consistent with a SYN flood"
    )
    alternatives = (
        Alternative(
            Cause.half_open_client_gone,
            True,
            "answers of the server that many clients did not get look the same",
        ),
        Alternative(Cause.probe, False, "scanners and monitors reset what they opened"),
    )
    advice = (
        "look at the addresses: forged ones are spread evenly and never complete a handshake",
        "on the server: SYN cookies, and `nstat -az TcpExtListenOverflows TcpExtSyncookiesSent`",
    )
    return Story(sentence, one.proof, alternatives, advice)


RULE = Rule(
    code=Cause.syn_flood,
    title="SYN flood",
    shape=f"Half-open, with {CROWD} or more such attempts on the same server within a minute.",
    limits="Counts say how many, not why: a return path that is down gives the same picture.",
    needs=("opening", "server_ip", "server_port", "client_ip", "start_ns"),
    check=check,
    explain=explain,
    scope=ATTEMPT,
)
