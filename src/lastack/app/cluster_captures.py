"""The map stage: every capture, whole or in pieces, becomes segments, and what is said of it is said of one capture."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from lastack.app.clocks import Seen
from lastack.app.cluster_fetch import opened_head, whole_of
from lastack.app.cluster_map import SIGHTINGS_FILE, TALLY_FILE, add_tally, map_piece
from lastack.app.cluster_pieces import Piece, cut, proved, rest_of
from lastack.app.jobs import VERSION, Outcome, Task
from lastack.app.sightings import joined
from lastack.capture.series import CaptureFile
from lastack.kernels.ingest import TALLY
from lastack.store.s3 import S3Folder, open_input, root_of

#: Runs tasks and returns what became of them, by name.
RunTasks = Callable[[Sequence[Task]], dict[str, Outcome]]


@dataclass(slots=True)
class MappedCapture:
    """A capture after its map tasks.

    Attributes:
        path: As it was named.
        first_ns: Time of its first packet, None if it is not known.
        parts: Folder of each piece's files, and the packets before it that its numbers do not count.
        tally: What was counted, a TALLY record.
        orphans: Packets of interfaces that are not described.
        problems: Its flaws, for people.
        problem_count: How many there were; not all are kept.
        seen: Its sample of packets, to be compared with those of other sensors.
        failed: Why it is not in the result, None if it is.
    """

    path: str
    first_ns: int | None
    parts: list[tuple[str, int]] = field(default_factory=list)
    tally: Any = None
    orphans: int = 0
    problems: list[str] = field(default_factory=list)
    problem_count: int = 0
    seen: Seen | None = None
    failed: str | None = None


def map_captures(
    files: Sequence[CaptureFile],
    work: Path | S3Folder,
    run: RunTasks,
    piece_bytes: int,
    clock_ns: Mapping[str, int],
) -> list[MappedCapture]:
    """Return all captures after their map tasks, in the order given.

    Args:
        files: What to read.
        work: Folder of the results.
        run: What runs tasks; called a second time for captures whose pieces proved to be none.
        piece_bytes: Bytes of an uncompressed capture for one task.
        clock_ns: What is taken off the times of some captures.
    """
    planned = [(file, _pieces(file.path, piece_bytes, clock_ns.get(file.path, 0))) for file in files]
    tasks = {piece: _task(piece, work) for _, pieces in planned for piece in pieces}
    done = run(list(tasks.values()))
    found: list[tuple[CaptureFile, list[Piece]]] = []
    more: dict[Piece, Task] = {}
    for file, pieces in planned:
        outcomes = [done[tasks[piece].name] for piece in pieces]
        if len(pieces) > 1 and not any(outcome.problem for outcome in outcomes):
            tallies = [_tally(outcome) for outcome in outcomes]
            good = proved(pieces, [_said(outcome) for outcome in outcomes], tallies)
            if good < len(pieces):
                rest = rest_of(pieces, good, tallies)
                pieces = [*pieces[:good], rest]
                more[rest] = _task(rest, work)
        found.append((file, pieces))
    if more:
        done |= run(list(more.values()))
        tasks |= more
    return [_joined(file, [(piece, done[tasks[piece].name]) for piece in pieces]) for file, pieces in found]


def digest(*values: Any) -> str:
    """Return a name for a result: the same values make the same result."""
    return hashlib.sha256(repr((VERSION, values)).encode()).hexdigest()[:20]


def _pieces(path: str, piece_bytes: int, clock_ns: int) -> list[Piece]:
    whole = replace(whole_of(path), clock_ns=clock_ns)
    if whole.size_bytes < 2 * piece_bytes:
        return [whole]
    with opened_head(path, piece_bytes) as capture:
        return cut(whole, capture, piece_bytes)


def _task(piece: Piece, work: Path | S3Folder) -> Task:
    return Task(f"map {piece.shown}", str(work / "map" / digest(piece)), map_piece, (piece,))


def _said(outcome: Outcome) -> dict[str, Any]:
    assert outcome.result is not None, outcome.problem
    return outcome.result.counters


def _tally(outcome: Outcome) -> Any:
    return _array(outcome, TALLY_FILE)[0]


def _array(outcome: Outcome, name: str) -> Any:
    assert outcome.result is not None, outcome.problem
    with open_input(root_of(outcome.result.folder) / name) as stream:
        return np.load(io.BytesIO(stream.read()), allow_pickle=False)


def _joined(file: CaptureFile, parts: Sequence[tuple[Piece, Outcome]]) -> MappedCapture:
    """Return what the pieces of a capture are together."""
    total = np.zeros(1, TALLY)[0]
    capture = MappedCapture(file.path, file.first_ns, tally=total)
    samples = []
    for piece, outcome in parts:
        if outcome.result is None:
            return MappedCapture(file.path, file.first_ns, failed=outcome.problem)
        said, tally = _said(outcome), _tally(outcome)
        before = int(total["packets"])
        if before and tally["packets"] and tally["head_ns"] < total["previous_ns"]:
            total["backwards"] += 1
        add_tally(total, tally)
        capture.parts.append((outcome.result.folder, before - piece.packets_before))
        capture.orphans += said["orphans"]
        capture.problems += said["problems"]
        capture.problem_count += said["problem_count"]
        samples.append((_array(outcome, SIGHTINGS_FILE), said["sighted"]))
    if total["packets"]:
        capture.seen = Seen(file.path, int(total["first_ns"]), int(total["last_ns"]), *joined(samples))
    return capture
