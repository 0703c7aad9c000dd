"""Data reached an end that had fully closed, and its host answered with a RST."""

from __future__ import annotations

import numpy as np

from lastack.diagnosis.case import Case, count, other_end, span, the
from lastack.diagnosis.columns import Columns, other
from lastack.diagnosis.facts import sent_fin
from lastack.diagnosis.foreign import a_hop_off, hop_words
from lastack.diagnosis.late import after_the_fin, farewell, was_sending
from lastack.diagnosis.rule import Claim, Rule, Story, claim
from lastack.diagnosis.verdict import Alternative
from lastack.model.enums import Cause, Harm


def check(cols: Columns) -> Claim:
    """Claim resets by an end that had sent its FIN, of data that began after the FIN was known."""
    closer, answered = after_the_fin(cols)
    sure = np.where(a_hop_off(cols), 55, 75)
    sender = other(closer)
    ended = sent_fin(cols, sender) & farewell(cols, sender)
    harm = np.where(ended, int(Harm.none), int(Harm.data_lost))
    return claim(answered & ~was_sending(cols), sure, sender, harm)


def explain(case: Case) -> Story:
    """Say how much was sent to nobody."""
    closer = str(case["half_closed_by"])
    sender = other_end(closer)
    left = case.of("unacked_bytes", sender)
    sentence = (
        f"{the(sender)} sent {count(left, 'byte')} to {the(closer)}, which had closed {span(case['half_closed_ns'])} "
        "before and answered with a RST: nobody read them"
    )
    if case["harm"] == "none":
        sentence += (
            f"; {the(sender)} closed with them, so they were its last words (TLS close_notify, a goodbye)"
        )
    asked = int(case.of("new_bytes", closer))
    before = int(case.of("new_bytes", sender)) - max(int(left), int(case["half_closed_bytes"] or 0))
    unanswered = asked > 0 and before <= 0
    if unanswered:
        sentence += f"; {the(closer)} had sent {count(asked, 'byte')} and closed before any answer"
    alternatives = (
        Alternative(Cause.stopped_reading, False, f"{the(sender)} had nothing under way when the FIN came"),
        Alternative(
            Cause.middlebox_half_closed_timeout,
            True,
            "a box that forgot the half-closed session and rejects makes the same RST" + hop_words(case),
        ),
    )
    pool = (
        f"if {the(sender)} is a connection pool: its idle time is longer than the time after which "
        f"{the(closer)} closes; lower the one or raise the other"
    )
    why = f"see why {the(closer)} closes without the answer (a time-out of its own, or it wants none)"
    return Story(sentence, case.fin_proof() + case.rst_proof(), alternatives, (why if unanswered else pool,))


RULE = Rule(
    code=Cause.data_after_close,
    title="data after close",
    shape="A FIN, acknowledged; then data from the other end; then a RST without ACK from who had sent the FIN.",
    limits="Whether the closer meant shutdown() or close() shows only in this RST.",
    needs=("ending", "half_closed_by", "half_closed_bytes", "unacked_bytes_clt", "unacked_bytes_srv"),
    check=check,
    explain=explain,
)
