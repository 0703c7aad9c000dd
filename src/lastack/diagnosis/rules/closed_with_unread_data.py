"""An application closed while its host still held data that it had not read."""

from __future__ import annotations

import numpy as np

from lastack.diagnosis.case import Case, count, other_end, the
from lastack.diagnosis.columns import Columns
from lastack.diagnosis.facts import by_rst, in_flight, of_own_doing, receiver, resetter, sent_fin
from lastack.diagnosis.rule import Claim, Rule, Story, claim
from lastack.diagnosis.verdict import Alternative
from lastack.model.enums import Cause, Closer, Harm, are

_MORE_THAN_AN_ANSWER = 2 * 1460  # bytes: two segments


def check(cols: Columns) -> Claim:
    """Claim RSTs of an end with state that held data: its window was shut, or the RST itself acknowledges data.

    RFC 1122, 4.2.2.13: a host that closes with received data pending SHOULD send a RST.
    """
    me, you = resetter(cols), receiver(cols)
    whole = by_rst(cols) & of_own_doing(cols) & ~sent_fin(cols, me)
    shut = (cols.of("zero_window", me, evidence=True) > 0) & (cols.of("last_window", me, evidence=True) == 0)
    _, coming = in_flight(cols)
    taken = (coming > 0) & (cols.evidence("rst_ack_step") == 0) & cols.evidence_present("rst_ack_step")
    # A client that gets a small answer and resets at once has read it as a rule.
    unread = taken & (are(me, Closer.server) | (coming >= _MORE_THAN_AN_ANSWER))
    return claim(
        whole & (shut | unread), np.where(shut, 85, 65), me, np.where(you > 0, int(Harm.data_lost), 0)
    )


def explain(case: Case) -> Story:
    """Say why the RST means unread data."""
    end = case.resetter
    sender = other_end(end)
    held = case.ev_of("in_flight", sender)
    if case.ev_of("zero_window", end) and case.ev_of("last_window", end) == 0:
        why = f"its window was shut, so its buffer was full of what {the(sender)} had sent"
    else:
        why = f"the RST itself acknowledges {count(held, 'byte')} of {the(sender)} that had only just come"
    sentence = f"{the(end)} closed with unread data: {why}; its host sent a RST instead of a FIN"
    alternatives = (
        Alternative(Cause.reset_close, True, "an application that always ends by a RST (SO_LINGER 0)"),
        Alternative(Cause.peer_lost_state, False, "a host that forgot the session sends a RST without ACK"),
    )
    advice = (f"the application of {the(end)} must read to the end of input before it closes its socket",)
    return Story(sentence, case.rst_proof(), alternatives, advice)


RULE = Rule(
    code=Cause.closed_with_unread_data,
    title="closed with unread data",
    shape="No FIN of its sender; a RST with ACK that acknowledges data which came just before, or while its "
    "window is 0.",
    limits="Data that was acknowledged earlier and never read leaves no trace: that is `reset_close`.",
    needs=(
        "ending",
        "evidence.rst_flags",
        "evidence.rst_ack_step",
        "evidence.in_flight_clt",
        "evidence.zero_window_clt",
    ),
    check=check,
    explain=explain,
)
