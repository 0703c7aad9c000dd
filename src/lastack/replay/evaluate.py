"""The packet-exact evaluator: segments through the tracker and a box, the fate of every session.

`evaluate` is for segments in memory; `Replay` takes them stretch by stretch, shard by shard, for captures.
Open loop: see `lastack.replay.outcome`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from typing import Any

import numpy as np

from lastack.firewall.machine import Machine
from lastack.firewall.table import PHASE_CODE, Box, Ct
from lastack.firewall.words import Phase
from lastack.kernels.expiry_layout import FATE, LACKING, NEVER_NS
from lastack.kernels.expiry_replay import ADOPT, BOX_MORE, DONE, ORIGIN_ADD, STATUS, TOLD, replay
from lastack.kernels.layout import NO_LIMIT_NS
from lastack.kernels.sharding import SHARDS
from lastack.model.errors import UsageError
from lastack.replay.outcome import Fate, Life, Why, harm_of
from lastack.tracking.memory import Reserve
from lastack.tracking.shard import Shard

_NOT_OPENED = (PHASE_CODE[Phase.syn_sent], PHASE_CODE[Phase.syn_recv])
_OVER = (PHASE_CODE[Phase.fin2], PHASE_CODE[Phase.closed], PHASE_CODE[Phase.rst])
_CT_NOT_OPENED = (Ct.none, Ct.syn_sent, Ct.syn_recv, Ct.syn_sent2)
_CT_OVER = (Ct.last_ack, Ct.time_wait, Ct.close)


class Lane:
    """One shard of the sessions with its own entries: the tracker's shard, the machine, the fates.

    Args:
        box: The box.
        limit: Most sessions held.
        adopt: Whether sessions that begin in mid-stream are taken as known.
        most: Sessions that all lanes hold together, for what is said when they do not fit.
    """

    def __init__(self, box: Box, limit: int, *, adopt: bool = True, most: int | None = None) -> None:
        self.box = box
        self.most = most or limit
        self.shard = Shard(limit, NO_LIMIT_NS)
        self.machine = Machine(box)
        self._fates = Reserve((limit + 1024) * FATE.itemsize)
        self._state = np.zeros(8, np.int64)
        self._state[ADOPT] = adopt
        self.last_ns: int | None = None

    def feed(self, address: int, n: int, origin_add: int, answers: int, sessions: int) -> None:
        """Run n segments at an address.

        Args:
            address: Of SEGMENTs, in order.
            n: How many.
            origin_add: Packets that came before those that they were numbered with.
            answers: Address of n i4, for the answers.
            sessions: Address of n u4, for the record indices of their sessions.

        Raises:
            UsageError: There are more sessions than the limit.
        """
        if not n:
            return
        self._state[ORIGIN_ADD] = origin_add
        self.shard.control["origin_add"] = origin_add
        self.machine.begin(_first_time(address))
        done = 0
        while True:
            done = int(
                replay(
                    self.shard.address, self.machine.address, self._fates.address, int(address), done, n,
                    self._state, answers, sessions,
                )
            )  # fmt: skip
            if self._state[STATUS] == DONE:
                return
            if self._state[STATUS] == BOX_MORE:
                self.machine.serve()
                self._state[TOLD] = 0
            elif not self.shard.grow_if_crowded():
                raise UsageError(
                    f"more sessions than fit (about {self.most:,}): give a larger --max-sessions or less input"
                )

    def finish(self, last_ns: int) -> None:
        """End every entry: those due by the last packet as expired, the others as open."""
        self.machine.flush(last_ns)

    def take_ended(self) -> Any:
        """Return the LIFE records of entries that ended since the last call."""
        self._state[TOLD] = 0
        return self.machine.take_ended()

    @property
    def sessions(self) -> int:
        """Sessions so far."""
        return int(self.shard.control["records"][0])

    def fates(self) -> Any:
        """Return the FATE records by session; place 0 is none."""
        return self._fates.array(np.uint8, (self.sessions + 1) * FATE.itemsize).view(FATE)

    def lacking(self) -> Any:
        """Return the record indices of the sessions that a packet was refused of for want of an entry."""
        return np.flatnonzero(self.fates()["state"] & LACKING).astype(np.uint32)


def _first_time(address: int) -> int:
    return ctypes.c_int64.from_address(int(address)).value


def fate_of(box: Box, session: int, record: Any, lives: tuple[Life, ...]) -> Fate:
    """Return a FATE record as the dataclass that the slow twin makes too.

    Args:
        box: The box.
        session: Number to give it.
        record: The FATE.
        lives: Its entries.
    """
    if not int(record["state"]) & LACKING:
        return Fate(session, lives, denied=int(record["denied"]))
    lost, fins, rsts, refused = (
        (int(x[0]), int(x[1])) for x in (record[k] for k in ("lost", "fins", "rsts", "refused"))
    )
    had = bool(record["why"])
    table = box.tables[int(record["table"])]
    phase = int(record["phase"]) if had else 0
    if table.linux is not None:
        opened, over = had and phase not in _CT_NOT_OPENED, phase in _CT_OVER
    else:
        opened, over = had and phase not in _NOT_OPENED, phase in _OVER
    gone, first_ns = int(record["gone_ns"]), int(record["first_ns"])
    expired = had and int(record["why"]) == Why.expired
    resolution = table.timers[int(record["timer"])].resolution_ns if expired else 0
    return Fate(
        session,
        lives,
        broken_ns=gone,
        phase=phase,
        timer=int(record["timer"]) if had else -1,
        first_refused=int(record["first"]) & 0xFFFFFFFFFFFF,
        first_refused_ns=first_ns,
        refused=refused,
        lost_bytes=lost,
        lost_fins=fins,
        lost_rsts=rsts,
        denied=int(record["denied"]),
        uncertain=expired and first_ns < gone + resolution,
        harm=harm_of(
            refused=sum(refused),
            opened=opened,
            over=over,
            lost_bytes=sum(lost),
            lost_closes=sum(fins) + sum(rsts),
        ),
    )


def life_of(record: Any) -> Life:
    """Return a LIFE record as a dataclass."""
    gone = int(record["gone_ns"])
    return Life(
        int(record["made_ns"]),
        None if gone >= NEVER_NS else gone,
        Why(int(record["why"])),
        int(record["phase"]),
        int(record["timer"]),
        int(record["table"]),
    )


def evaluate(segments: Any, box: Box, *, adopt: bool = True) -> list[Fate]:
    """Return what a box does to each session of some segments, in the order in which the sessions began.

    Sessions are the tracker's. By end, numbers are those of the end with the smaller (address, port) first.

    Args:
        segments: SEGMENT array, in the order of the input.
        box: The box.
        adopt: Whether sessions that begin in mid-stream are taken as known.
    """
    return evaluation(segments, box, adopt=adopt)[0]


def evaluation(segments: Any, box: Box, *, adopt: bool = True) -> tuple[list[Fate], Any, Any]:
    """Return the fates as `evaluate`, the answers as numbers and the places of the segments' sessions."""
    segments = np.ascontiguousarray(segments)
    n = len(segments)
    lane = Lane(box, max(n, 64), adopt=adopt)
    answers, sessions = np.zeros(max(n, 1), np.int32), np.zeros(max(n, 1), np.uint32)
    lane.feed(segments.ctypes.data, n, 0, answers.ctypes.data, sessions.ctypes.data)
    lane.finish(int(segments["ts_ns"].max()) if n else 0)
    lives: dict[int, list[Life]] = {}
    for record in lane.take_ended():
        lives.setdefault(int(record["session"]), []).append(life_of(record))
    records = lane.fates()
    fates = [fate_of(box, i - 1, records[i], tuple(lives.get(i, ()))) for i in range(1, lane.sessions + 1)]
    return fates, answers[:n], sessions[:n].astype(np.int64) - 1


def split_lanes(box: Box, max_sessions: int, *, adopt: bool = True) -> Iterator[Lane]:
    """Yield the lanes of a replay: one for each shard, or a single one when the room of the box is shared."""
    n = 1 if box.room.limit or box.room.scale_from else SHARDS
    for _ in range(n):
        yield Lane(box, max(max_sessions // n, 64), adopt=adopt, most=max_sessions)
