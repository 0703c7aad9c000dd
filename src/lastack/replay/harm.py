"""What it costs a session that a box forgets it, from what the record says came later.

The words and their order are those of `lastack.replay.outcome.Harm`; here they are numbers, for arrays.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from lastack.model.enums import EndpointState
from lastack.replay.columns import NEVER
from lastack.replay.lanes import STAGES, Stage
from lastack.replay.past import Past


class Loss(IntEnum):
    """What was lost; the worst that applies.

    `data_lost`: payload. `close_lost`: a FIN or RST, before the close had passed, so that an end hangs. `open_failed`:
    the handshake was not complete. `late_ack`: nothing of these. `none`: the session lives.
    """

    none = 0
    late_ack = 1
    close_lost = 2
    data_lost = 3
    open_failed = 4


#: Stages in which the close has passed.
_OVER = (Stage.fin2, Stage.closed, Stage.rst)
_CLOSES = (Stage.fin1, Stage.fin2, Stage.rst, Stage.rst_unverified)


def loss_of(
    past: Past,
    rows: NDArray[np.int64],
    lanes: NDArray[np.int64],
    lost_ns: NDArray[np.int64],
    bytes_lost: NDArray[np.int64],
) -> NDArray[np.uint8]:
    """Return what sessions lost that a box forgot.

    Args:
        past: The sessions.
        rows: Which of them.
        lanes: Lane that each was in when it was forgotten.
        lost_ns: First packet that was lost.
        bytes_lost: Payload that was lost, repeats included.
    """
    stage = lanes % STAGES
    enters = past.enters[rows]
    closes = np.zeros(len(rows), np.bool_)
    for s in _CLOSES:
        closes |= (enters[:, s] != NEVER) & (enters[:, s] >= lost_ns)
    loss = np.full(len(rows), Loss.late_ack, np.uint8)
    loss[closes & ~np.isin(stage, _OVER)] = Loss.close_lost
    loss[bytes_lost > 0] = Loss.data_lost
    loss[stage <= Stage.syn_recv] = Loss.open_failed
    return loss


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
