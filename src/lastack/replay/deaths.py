"""What each session tells about hidden timers on its path: silences and ages that it survived, and the one it did not.

A silence was survived when both ends spoke after it. It was deadly when one end spoke at least twice and nobody
answered, or when the first that came was answered by nothing but a RST, or when a RST from nowhere ended it. What a
person or an application ended by itself (a FIN that is acknowledged, a RST that answers nothing and came at any time)
is neither.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lastack.model.enums import Ending
from lastack.replay.columns import NEVER, codes, one_array, whole_numbers
from lastack.replay.lanes import Stage
from lastack.replay.past import Past
from lastack.replay.recorded import COLUMNS as PAST_COLUMNS
from lastack.replay.recorded import past_of

#: Columns to read for a search.
COLUMNS: tuple[str, ...] = (
    *PAST_COLUMNS, "ending", "rst_ttl_delta", "client_ip", "server_ip", "server_port", "client_zone", "server_zone",
)  # fmt: skip
#: A RST that comes so soon after a silence answers what ended it.
_ANSWER_NS = 3_000_000_000
#: Phases that lasted less say nothing: no box has a timer so short.
_SHORTEST_NS = 1_000_000_000


class Kind(IntEnum):
    """Which timer of a box it would be."""

    half_closed = 0
    idle = 1
    embryonic = 2


_STAGES = {
    Kind.half_closed: (Stage.fin1, Stage.fin1_acked),
    Kind.idle: (Stage.established,),
    Kind.embryonic: (Stage.syn_recv,),
}


class How(IntEnum):
    """How a session died."""

    alive = 0
    silence = 1
    rst_on_next = 2
    rst_at_expiry = 3


@dataclass(frozen=True, slots=True)
class Told:
    """What sessions tell about one kind of timer; lengths in ns, 0 for nothing survived, `NEVER` for no death.

    Attributes:
        row: Session, in the past that it was read from.
        survived: Longest silence survived.
        killed: Deadly silence.
        age_survived: Age of the phase at the last sign of life.
        age_killed: Age at the first packet that nobody answered.
        how: How it died.
        foreign: The RST's TTL is not its alleged sender's.
    """

    row: NDArray[np.int64]
    survived: NDArray[np.int64]
    killed: NDArray[np.int64]
    age_survived: NDArray[np.int64]
    age_killed: NDArray[np.int64]
    how: NDArray[np.uint8]
    foreign: NDArray[np.bool_]


def told_by(batch: Any, kind: Kind) -> Told:
    """Return what the sessions of a batch tell about a kind of timer; those that tell nothing are left out.

    Args:
        batch: Rows with `COLUMNS`, strays left out.
        kind: The timer.
    """
    past = past_of(batch)
    n = len(past)
    begin = _begin(past, kind)
    i = np.flatnonzero(np.isin(past.silences.stage, _STAGES[kind]) & (begin[past.silences.row] != NEVER))
    row = past.silences.row[i]
    after = past.sent[row, 2:] - past.silences.sent[i, 2:]
    resets = _resets(batch)
    rst_ns = whole_numbers(one_array(batch, "first_rst_ns"), NEVER)[row]
    ends = past.silences.start_ns[i] + past.silences.gap_ns[i]
    how = _how(after, resets[row], rst_ns, ends)
    # Half an answer (one packet at the very end) says nothing: the capture may have ended there.
    lived = (after > resets[row]).all(axis=1) & (how == How.alive)
    survived, killed = np.zeros(n, np.int64), np.full(n, NEVER, np.int64)
    np.maximum.at(survived, row[lived], past.silences.gap_ns[i][lived])
    died = np.flatnonzero(how != How.alive)
    # The first deadly one: what follows it are the pauses of an end that tries again.
    first = died[np.unique(row[died], return_index=True)[1]]
    killed[row[first]] = past.silences.gap_ns[i][first]
    hows = np.zeros(n, np.uint8)
    hows[row[first]] = how[first]
    age_killed, age_survived = np.full(n, NEVER, np.int64), np.zeros(n, np.int64)
    age_killed[row[first]] = ends[first] - begin[row[first]]
    until = np.minimum(_until(past, kind), past.end)
    known = begin != NEVER
    age_survived[known] = (until - begin)[known].clip(0)
    age_survived[row[first]] = past.silences.start_ns[i][first] - begin[row[first]]
    # One end alone at the end, without a deadly silence: when it last got an answer is not known.
    lonely = (codes(one_array(batch, "ending"), Ending) == Ending.vanished) & (killed == NEVER)
    age_survived[lonely] = 0
    tells = np.flatnonzero((survived > 0) | (killed != NEVER) | (age_survived >= _SHORTEST_NS))
    delta = one_array(batch, "rst_ttl_delta")
    foreign = (whole_numbers(delta) != 0)[tells]
    return Told(
        tells, survived[tells], killed[tells], age_survived[tells], age_killed[tells], hows[tells], foreign
    )


def _begin(past: Past, kind: Kind) -> NDArray[np.int64]:
    return past.enters[:, _STAGES[kind][0]]


def _until(past: Past, kind: Kind) -> NDArray[np.int64]:
    """Return when the phase was over by itself."""
    after = past.enters[:, _STAGES[kind][-1] + 1 :]
    result: NDArray[np.int64] = after.min(axis=1)
    return result


def _resets(batch: Any) -> NDArray[np.int64]:
    sides = [whole_numbers(one_array(batch, f"rst_{side}")).astype(np.int64) for side in ("clt", "srv")]
    return np.stack(sides, axis=1)


def _how(
    after: NDArray[np.int64], resets: NDArray[np.int64], rst_ns: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Return how each silence killed, from the packets of both ends after it."""
    spoke = after - np.minimum(resets, after)  # packets that are no RST
    talks, answers = spoke.max(axis=1), spoke.min(axis=1)
    had_rst = (rst_ns != NEVER) & (rst_ns >= ends)
    how = np.full(len(after), How.alive, np.uint8)
    how[(talks >= 2) & (answers == 0) & ~had_rst] = How.silence
    # The end that did not speak is said to have sent the RST.
    quiet = np.argmin(spoke, axis=1)
    by_quiet = resets[np.arange(len(after)), quiet] > 0
    how[(talks >= 1) & (answers == 0) & had_rst & by_quiet & (rst_ns - ends < _ANSWER_NS)] = How.rst_on_next
    how[(talks == 0) & had_rst & (rst_ns == ends)] = How.rst_at_expiry
    return how
