"""Resets by the end that had sent its FIN: what `stopped_reading` and `data_after_close` share."""

from __future__ import annotations

from typing import Any

import numpy as np

from lastack.diagnosis.columns import Columns, other
from lastack.diagnosis.facts import is_code, repeated_in_vain, resetter
from lastack.model.enums import Closer, Ending, are

#: Bytes of the last words of an application that closes as well: TLS's close_notify, `221 Goodbye`.
FAREWELL = 100


def farewell(cols: Columns, end: Any) -> Any:
    """Return which rows end with no more than the last words of one end (`Closer` codes) on their way.

    An end that learns that the other has closed says goodbye and closes too; nobody waits for these words.
    """
    answered = cols.code("half_closed_by") == other(end)
    words = [
        cols.of("unacked_bytes", end).astype(np.int64),
        cols.of("in_flight", end, evidence=True).astype(np.int64),
        np.where(answered, cols.number("half_closed_bytes").astype(np.int64), 0),
    ]
    return (np.max(words, axis=0) <= FAREWELL) & (cols.of("unacked_bytes", other(end)) == 0)


def after_the_fin(cols: Columns) -> tuple[Any, Any]:
    """Return (who sent the first FIN, which rows that end reset while the other end's data was unacknowledged).

    Not those where it had itself repeated data in vain: who gives up on a deaf peer lost no interest in what it sends.
    """

    def make(cols: Columns) -> tuple[Any, Any]:
        closer = cols.code("half_closed_by")
        ours = (
            is_code(cols, "ending", Ending.fin_rst) & ~are(closer, Closer.none) & (resetter(cols) == closer)
        )
        late = cols.of("unacked_bytes", other(closer)) > 0
        return closer, ours & (late | (cols.number("half_closed_bytes") > 0)) & ~repeated_in_vain(
            cols, closer
        )

    pair: tuple[Any, Any] = cols.derived("after_the_fin", make)
    return pair


def was_sending(cols: Columns) -> Any:
    """Return where the other end was in the middle of sending when the FIN came.

    Some of what was never acknowledged was sent before its sender knew of the FIN; or that end had sent most of the
    session's bytes already, and went on.
    """

    def make(cols: Columns) -> Any:
        closer, _ = after_the_fin(cols)
        left = cols.of("unacked_bytes", other(closer)).astype(np.int64)
        knowing = cols.number("half_closed_bytes").astype(np.int64)
        theirs = cols.of("new_bytes", other(closer)).astype(np.int64) - np.maximum(left, knowing)
        mine = cols.of("new_bytes", closer).astype(np.int64)
        return (left > knowing) | (theirs > 2 * mine)

    return cols.derived("was_sending", make)
