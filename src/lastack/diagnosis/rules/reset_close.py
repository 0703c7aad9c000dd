"""An application that ends by a RST instead of a FIN, with nothing outstanding."""

from __future__ import annotations

import numpy as np

from lastack.diagnosis.case import Case, after_idle, the
from lastack.diagnosis.columns import Columns
from lastack.diagnosis.facts import by_rst, has_rst, in_flight, is_code, of_own_doing, resetter, unacked
from lastack.diagnosis.rule import Claim, Rule, Story, claim
from lastack.diagnosis.verdict import Alternative
from lastack.model.enums import Cause, Closer, Ending, Harm, Observed, are


def check(cols: Columns) -> Claim:
    """Claim RSTs of an end with state where all that was sent is acknowledged, and both ends spoke, or neither."""
    mine, yours = in_flight(cols)
    done = (mine <= 0) & (yours <= 0) & ~unacked(cols)
    both = (cols.number("new_bytes_clt") > 0) & (cols.number("new_bytes_srv") > 0)
    neither = (cols.number("new_bytes_clt") == 0) & (cols.number("new_bytes_srv") == 0)
    whole = ~is_code(cols, "observed", Observed.start_missing) | both
    doing = of_own_doing(cols) | ~has_rst(cols)
    # A server whose last packet was an acknowledgment, with nothing of its own to be acknowledged, gave no answer.
    owed = are(resetter(cols), Closer.server) & are(cols.evidence("before_rst_by"), Closer.server)
    owed &= (cols.number("new_bytes_clt") > 0) & ~is_code(cols, "ending", Ending.fin_rst)
    after_fin = is_code(cols, "ending", Ending.fin_rst)
    shape = by_rst(cols) & done & whole & doing & (both | neither | after_fin) & ~owed
    return claim(shape, np.where(after_fin, 70, 65), resetter(cols), Harm.none)


def explain(case: Case) -> Story:
    """Say why it did no harm."""
    end = case.resetter
    if case["new_bytes_clt"] or case["new_bytes_srv"]:
        what = "all that either end had sent was acknowledged"
    else:
        what = "nothing had been sent, as health checks of load balancers do"
    idle = after_idle(case)
    sentence = f"{the(end)} ended it by a RST instead of a FIN{idle}; {what}"
    alternatives = (
        Alternative(
            Cause.closed_with_unread_data, True, "data that was acknowledged may still have been unread"
        ),
        Alternative(
            getattr(Cause, f"aborted_by_{end}", Cause.unknown),
            True,
            "it may have been meant to go on: look whether other sessions of this server end the same way",
        ),
    )
    saves = f"harmless if all sessions of {the(end)} end so: it saves TIME_WAIT (SO_LINGER with time 0)"
    timer = (
        f"if many sessions of {the(end)} end after this silence, its application or a load balancer in its name has an "
        "idle timer: harmless unless the other end still counts on the connection"
    )
    advice = (timer if idle else saves,)
    return Story(sentence, case.fin_proof() + case.rst_proof(), alternatives, advice)


RULE = Rule(
    code=Cause.reset_close,
    title="closed by a RST",
    shape="A RST with ACK; everything acknowledged; request and answer were exchanged, or nothing at all.",
    limits="Acknowledged is not read: whether the application got it cannot be seen.",
    needs=("ending", "evidence.rst_flags", "evidence.in_flight_clt", "new_bytes_clt", "unacked_bytes_clt"),
    check=check,
    explain=explain,
)
