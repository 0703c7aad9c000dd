"""The lists of the session record as arrays: gap profiles, silences of half-closes, what came again while opening."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lastack.model.enums import Closer, Opening, PacketKind, RstSeq, TimerPhase
from lastack.replay.columns import NEVER, codes, list_rows, one_array, valid, whole_numbers
from lastack.replay.lanes import Stage
from lastack.replay.past import Marks, Retries, Silences

#: Retries that a session keeps at most.
MOST_RETRIES = 24


def silences_of(rows: NDArray[np.int64], entries: Any, rst_seq: NDArray[np.uint8]) -> Silences:
    """Return the gap profiles.

    Args:
        rows: Session of each entry.
        entries: The entries, as structs.
        rst_seq: `RstSeq` of each session.
    """
    phase = codes(entries.field("phase"), TimerPhase)
    stage = np.where(phase == TimerPhase.midstream, np.uint8(Stage.established), phase)
    unverified = (stage == Stage.rst) & (rst_seq[rows] == RstSeq.window)
    stage = np.where(unverified, np.uint8(Stage.rst_unverified), stage)
    start, gap = (_numbers(entries, name) for name in ("start_ns", "gap_ns"))
    unacked, stalled, again = (
        entries.field(name).to_numpy(zero_copy_only=False).astype(np.bool_)
        for name in ("unacked", "stalled", "fin_again")
    )
    following = codes(entries.field("next"), PacketKind)
    return Silences(rows, stage, start, gap, _sent(entries), unacked, stalled, again, following)


def marks_of(batch: Any) -> Marks:
    """Return the silences of half-closes."""
    rows, entries = list_rows(one_array(batch, "marks"))
    return Marks(rows, _numbers(entries, "since_ns"), _numbers(entries, "age_ns"), _sent(entries))


def retries_of(
    batch: Any, opening: NDArray[np.uint8], counts: dict[str, NDArray[np.int64]], enters: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], Retries]:
    """Return the openings in which SYNs and SYN-ACKs came again and nothing is missing, and what came again."""
    rows, entries = list_rows(one_array(batch, "retries"))
    n = len(opening)
    kind = codes(entries.field("kind"), PacketKind)
    by = codes(entries.field("by"), Closer)
    answered = entries.field("answered").to_numpy(zero_copy_only=False)
    syn = (kind == PacketKind.syn) & (by == Closer.client)
    answer = (kind == PacketKind.syn_ack) & (by == Closer.server)
    every = np.bincount(rows, minlength=n)
    plain = every == np.bincount(rows[syn | answer], minlength=n)
    syns = np.bincount(rows[syn], minlength=n)
    # As many as the record has, and the first packet was a SYN of the client; none came once it was open.
    whole = (syns + 1 == counts["syn"][:, 0]) & (counts["syn"][:, 1] == 0) & (every < MOST_RETRIES)
    followed = np.bincount(rows[answered], minlength=n) > 0
    begun = (opening != Opening.simultaneous) & (enters[:, Stage.syn_sent] != NEVER)
    ct = valid(one_array(batch, "ct_ns"))
    known = (opening != Opening.established) | ct
    unasked = followed & (enters[:, Stage.syn_recv] == NEVER)
    tried = (every > 0) & plain & whole & begun & known & ~unasked
    mine = tried[rows]
    ns = _numbers(entries, "ns")
    return tried, Retries(
        rows[mine], ns[mine], answer[mine].astype(np.int64), answered[mine].astype(np.bool_)
    )


def _numbers(entries: Any, name: str) -> NDArray[np.int64]:
    return whole_numbers(entries.field(name)).astype(np.int64)


def _sent(entries: Any) -> NDArray[np.int64]:
    members = ("bytes_clt", "bytes_srv", "packets_clt", "packets_srv")
    return np.stack([_numbers(entries, name) for name in members], axis=1)
