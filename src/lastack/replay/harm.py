"""What it costs a session that a box forgets it, from the packets that the record says came later.

The words are those of `lastack.model.enums.Harm`: data lost; the close lost, so that an end hangs; stalled (the
session went on, without data); the open failed; and none, when only a late ACK or a repeat was lost.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lastack.model.enums import EndpointState, Harm
from lastack.replay.columns import NEVER
from lastack.replay.lanes import STAGES, Stage
from lastack.replay.past import Past

#: Harms by weight, heaviest first: the order of tables.
HARMS = (Harm.data_lost, Harm.close_lost, Harm.open_failed, Harm.stalled, Harm.none)


def harm_of(
    past: Past,
    rows: NDArray[np.int64],
    lanes: NDArray[np.int64],
    lost_ns: NDArray[np.int64],
    bytes_lost: NDArray[np.int64],
) -> NDArray[np.uint8]:
    """Return the harm to sessions that a box forgot.

    Args:
        past: The sessions.
        rows: Which of them.
        lanes: Lane that each was in when it was forgotten.
        lost_ns: First packet that was lost.
        bytes_lost: Payload that was lost, repeats included.
    """
    stage = lanes % STAGES
    enters = past.enters[rows]
    fin1, fin2 = (enters[:, s] != NEVER for s in (Stage.fin1, Stage.fin2))
    closes = (fin1 & (enters[:, Stage.fin1] >= lost_ns)) | (fin2 & (enters[:, Stage.fin2] >= lost_ns))
    for s in (Stage.rst, Stage.rst_unverified):
        closes |= (enters[:, s] != NEVER) & (enters[:, s] >= lost_ns)
    harm = np.full(len(rows), Harm.none, np.uint8)
    harm[stage == Stage.established] = Harm.stalled
    alive = stage <= Stage.fin1_acked
    harm[alive & closes] = Harm.close_lost
    # After both FINs were acknowledged nothing new can be lost; before, a repeat may be the first that arrives.
    harm[(stage <= Stage.fin2) & (bytes_lost > 0)] = Harm.data_lost
    harm[stage <= Stage.syn_recv] = Harm.open_failed
    return harm


def hanging(
    past: Past, rows: NDArray[np.int64], lanes: NDArray[np.int64], lost_ns: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Return the states that client and server are left in, shape (rows, 2); UNKNOWN for one that does not hang.

    Only what the box did is considered: what the ends would have done instead of what they did is not simulated.
    """
    stage = lanes % STAGES
    enters = past.enters[rows]
    first, second = past.closer[rows].astype(np.int64), 1 - past.closer[rows].astype(np.int64)
    left = np.full((len(rows), 2), EndpointState.UNKNOWN, np.uint8)
    at = np.arange(len(rows))
    half = (stage == Stage.fin1) | (stage == Stage.fin1_acked)
    waits = np.where(stage == Stage.fin1_acked, EndpointState.FIN_WAIT_2, EndpointState.FIN_WAIT_1)
    left[at[half], first[half]] = waits[half]
    # The other end's FIN (if it sent one) found no entry; without one it is where it was.
    fin = half & (enters[:, Stage.fin2] != NEVER) & (enters[:, Stage.fin2] >= lost_ns)
    left[at[half], second[half]] = EndpointState.CLOSE_WAIT
    left[at[fin], second[fin]] = EndpointState.LAST_ACK
    before = stage == Stage.established
    left[at[before]] = EndpointState.ESTABLISHED
    cut = before & (enters[:, Stage.fin1] != NEVER)
    left[at[cut], first[cut]] = EndpointState.FIN_WAIT_1
    return left
