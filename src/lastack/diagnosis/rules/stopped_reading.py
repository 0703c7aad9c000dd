"""One end closed while data was still coming, and reset what came: a cancelled download."""

from __future__ import annotations

import numpy as np

from lastack.diagnosis.case import Case, count, other_end, the
from lastack.diagnosis.columns import Columns, other
from lastack.diagnosis.late import FAREWELL, after_the_fin, was_sending
from lastack.diagnosis.rule import Claim, Rule, Story, claim
from lastack.diagnosis.verdict import Alternative
from lastack.model.enums import Cause, Harm


def check(cols: Columns) -> Claim:
    """Claim resets by an end that had sent its FIN while the other was sending."""
    closer, answered = after_the_fin(cols)
    # What it acknowledged after its own FIN it was still willing to read: then it did not close, it broke off.
    left = cols.of("unacked_bytes", other(closer)).astype(np.int64)
    read_on = cols.number("half_closed_bytes").astype(np.int64) > left
    harm = np.where(read_on, int(Harm.data_lost), int(Harm.none))
    return claim(answered & was_sending(cols), np.where(read_on, 65, 80), closer, harm)


def explain(case: Case) -> Story:
    """Say who lost interest in what."""
    closer = str(case["half_closed_by"])
    sender = other_end(closer)
    left = case.of("unacked_bytes", sender)
    few = left <= FAREWELL
    what = (
        "few enough for last words that nobody waited for" if few else "what a cancelled download looks like"
    )
    sentence = (
        f"{the(closer)} closed while {the(sender)} was still sending, and reset what came ({count(left, 'byte')} "
        f"not acknowledged): {what}"
    )
    alternatives = (
        Alternative(Cause.data_after_close, False, f"{the(sender)} was sending before it knew of the FIN"),
        Alternative(Cause.injected_reset, False, "the RST follows that end's own FIN"),
    )
    return Story(
        sentence,
        case.fin_proof() + case.rst_proof(),
        alternatives,
        (
            "nothing to do if a user cancelled; else see why the application closed early (a time-out of its own?)",
        ),
    )


RULE = Rule(
    code=Cause.stopped_reading,
    title="stopped reading",
    shape="A FIN while the other end's data is on its way, then a RST of who sent the FIN.",
    limits="A user who cancels and an application that gives up look the same.",
    needs=("ending", "half_closed_by", "half_closed_bytes", "unacked_bytes_clt", "new_bytes_clt"),
    check=check,
    explain=explain,
)
