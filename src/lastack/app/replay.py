"""Captures through boxes, packet by packet: decoding once, a tracker and a table of entries for each box."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np

from lastack.app import prepare
from lastack.app.decoding import Decoder
from lastack.app.merging import Stream
from lastack.app.options import (
    Progress,
    ProgressState,
    RunSummary,
    TrackOptions,
    default_max_sessions,
    default_threads,
    default_window_bytes,
)
from lastack.app.parts import tallies_of
from lastack.app.running import crew_of
from lastack.capture.series import CaptureOrder, order_captures
from lastack.capture.source import Capture, open_capture
from lastack.firewall.table import PHASE_CODE, Box, Ct
from lastack.kernels.layout import CLIENT_HI
from lastack.kernels.sharding import SHARDS
from lastack.model.batch import SEGMENT
from lastack.replay.evaluate import Lane, fate_of, split_lanes
from lastack.replay.events import Broken, LifeSpans, Replayed
from lastack.replay.outcome import Why
from lastack.tracking.memory import RAW, segments_at
from lastack.tracking.rows import RowBuffer

#: Takes packets with what the first box did to them: SEGMENTs, answers, in the order of the input.
PacketSink = Callable[[Any, Any], None]
#: Fields of the session record that a broken session is told with.
FIELDS = (
    "session_id", "start_ns", "client_ip", "client_port", "server_ip", "server_port", "opening", "ending",
    "first_packet",
)  # fmt: skip
_TELL_EVERY_S = 0.1
_BYTES_PER_SESSION = 640  # of tracker, fates and entries, all in
_PHASES = {code: phase.value for phase, code in PHASE_CODE.items()}


def state_name(box: Box, table: int, code: int) -> str:
    """Return the word for a phase or conntrack state, empty for none."""
    if not code:
        return ""
    return Ct(code).name if box.tables[table].linux is not None else _PHASES[code]


def capture_names(paths: Sequence[str]) -> list[str]:
    """Return the names of captures in the order in which packets number them.

    Raises:
        InputError: Nothing could be read from one of them.
    """
    return ["stdin" if file.path == "-" else file.path for file in order_captures(paths).files]


def replay_captures(
    paths: Sequence[str],
    boxes: Sequence[Box],
    options: TrackOptions,
    progress: Progress | None = None,
    packets: PacketSink | None = None,
    *,
    adopt: bool = True,
) -> tuple[list[Replayed], RunSummary]:
    """Return what each of some boxes would have done to the packets of some captures, and what was read.

    Open loop: what the ends would have done instead is not simulated.

    Args:
        paths: Capture files; `-` is standard input.
        boxes: What to run.
        options: How to track.
        progress: Called now and then.
        packets: Takes every packet with what the first box did to it.
        adopt: Whether sessions that were under way when the captures begin are taken as known.

    Raises:
        InputError: Nothing could be read from one of the captures.
        UsageError: There are more sessions than `options.max_sessions`.
    """
    order = order_captures(paths)
    prepare.ensure()
    prepare.ensure_replay()
    with ExitStack() as stack:
        threads = options.threads or default_threads()
        limit = options.max_sessions or default_max_sessions() * 320 // (_BYTES_PER_SESSION * len(boxes))
        runs = [_BoxRun(box, limit, adopt=adopt) for box in boxes]
        run = _Run(runs, threads, stack.enter_context(crew_of(threads)).run, progress, packets)
        run.read(order, stack, options)
        return run.finish(order), run.summary


class _BoxRun:
    """One box with its lanes."""

    def __init__(self, box: Box, limit: int, *, adopt: bool) -> None:
        self.box = box
        self.lanes = list(split_lanes(box, limit, adopt=adopt))
        self.spans = [LifeSpans() for _ in self.lanes]


class _Work:
    """The segments of one lane in one stretch."""

    def __init__(self, owner: _BoxRun, place: int, pieces: list[tuple[int, int, int]], *, keep: bool) -> None:
        self._owner, self._place, self._pieces, self._keep = owner, place, pieces, keep

    def __call__(self) -> list[tuple[Any, Any]]:
        lane = self._owner.lanes[self._place]
        kept = []
        for address, n, before in self._pieces:
            answers, sessions = np.empty(n, np.int32), np.empty(n, np.uint32)
            lane.feed(address, n, before, answers.ctypes.data, sessions.ctypes.data)
            if self._keep:
                kept.append((_copied(address, n, before), answers))
        self._owner.spans[self._place].add(lane.take_ended())
        return kept


def _copied(address: int, n: int, before: int) -> Any:
    """Return a copy of the segments at an address, with packet numbers that count those before."""
    segments = segments_at(int(address), n).view(RAW).copy().view(SEGMENT)
    segments["origin"] += np.uint64(before)
    return segments


def _taken(parts: list[Any], order: Callable[[Any], Any]) -> tuple[Any, Any]:
    """Return arrays of segments as one, in the order that a function gives, and that order."""
    raw = np.concatenate([np.empty(0, RAW), *(part.view(RAW) for part in parts)])
    place = order(raw.view(SEGMENT))
    return raw[place].view(SEGMENT), place


class _Run:
    def __init__(
        self,
        runs: list[_BoxRun],
        threads: int,
        run: Any,
        progress: Progress | None,
        packets: PacketSink | None,
    ) -> None:
        self.summary = RunSummary()
        self._runs, self._threads, self._run = runs, threads, run
        self._progress, self._packets = progress, packets
        self._open: list[Capture] = []
        self._joined: Any = None
        self._started = self._told = time.monotonic()

    def read(self, order: CaptureOrder, stack: ExitStack, options: TrackOptions) -> None:
        """Read captures, the one with the earliest packet first."""
        self.summary.problems.extend(str(error) for error in order.rejected)
        self.summary.captures = ["stdin" if file.path == "-" else file.path for file in order.files]

        def opener(rank: int) -> Decoder:
            capture = stack.enter_context(open_capture(order.files[rank].path))
            self._open.append(capture)
            window_bytes = options.window_bytes or default_window_bytes()
            return Decoder(capture, rank, self._threads, self._run, window_bytes)

        for stretch in Stream([file.first_ns for file in order.files], opener):
            self.summary.ledger.add_tally(tallies_of(stretch.parts))
            self._take([stretch.runs(shard) for shard in range(SHARDS)])
        for capture in self._open:
            orphans = int(capture.state["orphans"][0])
            self.summary.tell_flaws(capture.name, capture.problems, capture.problem_count, orphans)
        self.summary.refuse_unreadable()
        self.summary.seconds = time.monotonic() - self._started

    def _take(self, pieces: list[list[tuple[int, int, int]]]) -> None:
        together = None
        jobs: list[_Work] = []
        for number, owner in enumerate(self._runs):
            keep = self._packets is not None and number == 0
            if len(owner.lanes) == SHARDS:
                jobs += [_Work(owner, shard, pieces[shard], keep=keep) for shard in range(SHARDS)]
            else:
                together = self._join(pieces) if together is None else together
                jobs.append(_Work(owner, 0, together, keep=keep))
        shares = [jobs[first :: self._threads] for first in range(min(self._threads, len(jobs)))]
        kept = [found for some in self._run([_InTurn(share) for share in shares]) for found in some]
        if self._packets is not None and kept:
            segments, place = _taken([part for part, _ in kept], self._order)
            self._packets(segments, np.concatenate([part for _, part in kept])[place])
        self._tell()

    def _join(self, pieces: list[list[tuple[int, int, int]]]) -> list[tuple[int, int, int]]:
        """Return the segments of all shards as one piece, in the order of the input: entries share one table."""
        parts = [_copied(*piece) for some in pieces for piece in some]
        self._joined, _ = _taken(parts, self._order)
        return [(self._joined.ctypes.data, len(self._joined), 0)]

    def _order(self, segments: Any) -> Any:
        """Return the order of the input: by packet number in one capture, by time between several."""
        origin = segments["origin"]
        if len(self.summary.captures) == 1:
            return np.argsort(origin, kind="stable")
        return np.lexsort((origin, segments["ts_ns"]))

    def _tell(self) -> None:
        now = time.monotonic()
        if self._progress is None or now - self._told < _TELL_EVERY_S:
            return
        self._told = now
        self._progress(
            ProgressState(
                bytes_read=sum(capture.consumed_bytes for capture in self._open),
                bytes_total=None,
                packets=self.summary.ledger.packets,
                sessions_live=sum(lane.sessions for lane in self._runs[0].lanes),
                rows=0,
                seconds=now - self._started,
            )
        )

    def finish(self, order: CaptureOrder) -> list[Replayed]:
        """End all entries and say what became of the sessions."""
        first, last = self.summary.first_ns or 0, self.summary.last_ns or 0
        found = []
        for owner in self._runs:
            done = Replayed(owner.box)
            spans = LifeSpans()
            for lane, own in zip(owner.lanes, owner.spans, strict=True):
                lane.finish(last)
                own.add(lane.take_ended())
                spans.join(own)
                done.sessions += lane.sessions
                done.answers.update(lane.machine.counts())
            done.ends, done.crowd = spans.ends, spans.crowd(first, last)
            self._broken(owner, done)
            found.append(done)
        self.summary.sessions = found[0].sessions
        return found

    def _broken(self, owner: _BoxRun, done: Replayed) -> None:
        for place, lane in enumerate(owner.lanes):
            indices = lane.lacking()
            done.broken_keys |= {(place, int(index)) for index in indices}
            if len(indices):
                done.broken += _told(owner.box, lane, indices, self.summary.captures)
        done.broken.sort(key=lambda one: (one.row["start_ns"], one.row["first_packet"]))
        done.harms.update(one.harm for one in done.broken)


class _InTurn:
    """Several functions as one."""

    def __init__(self, jobs: list[_Work]) -> None:
        self._jobs = jobs

    def __call__(self) -> list[tuple[Any, Any]]:
        return [result for job in self._jobs for result in job()]


def _told(box: Box, lane: Lane, indices: Any, captures: list[str]) -> list[Broken]:
    """Return the broken sessions of a lane with their records."""
    buffer = RowBuffer(len(indices))
    buffer.write(np.array([lane.shard.address], np.uint64), np.zeros(len(indices), np.uint8), indices)
    rows = buffer.batch(captures).select(list(FIELDS)).to_pylist()
    hot = lane.shard.records()["hot"]
    fates = lane.fates()
    broken = []
    for index, row in zip(indices, rows, strict=True):
        record = fates[index]
        fate = fate_of(box, int(index), record, ())
        table = int(record["table"])
        client = 1 if int(hot["bits"][index]) & CLIENT_HI else 0
        server = 1 - client
        timed = fate.timer >= 0 and int(record["why"]) == Why.expired
        broken.append(
            Broken(
                row,
                fate.harm,
                fate.broken_ns or 0,
                box.tables[table].timers[fate.timer].name if timed else "",
                state_name(box, table, fate.phase),
                Why(int(record["why"])),
                box.tables[table].name,
                fate.first_refused,
                fate.first_refused_ns,
                (fate.refused[client], fate.refused[server]),
                (fate.lost_bytes[client], fate.lost_bytes[server]),
                fate.uncertain,
            )
        )
    return broken
