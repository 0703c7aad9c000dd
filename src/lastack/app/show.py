"""One session with all there is to say of it: its record, the verdict, and its packets read again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from lastack.app.captures import capture_clocks, capture_groups, gone, resolved
from lastack.app.options import Progress, TrackOptions
from lastack.app.sessions import Question, ask
from lastack.app.slice import Slice, find_packets
from lastack.diagnosis.verdict import Verdict
from lastack.model.errors import LastackError, UsageError
from lastack.query.ast import Node
from lastack.store.dataset import Order
from lastack.tracking.ladder import Fold, Rung, ladder
from lastack.tracking.placing import PACKET_BITS

#: Sessions of the same ends that are looked at, if no later one is asked for.
MOST_MATCHES = 1000
#: Packets that a ladder shows one by one at most, even if all are asked for.
MOST_RUNGS = 200_000


@dataclass(frozen=True, slots=True)
class Wish:
    """What to show of a session.

    Attributes:
        where: Filter that finds it.
        nth: Which of several, from 1.
        most: Packets to show one by one, None for all.
        packets: Whether its packets are needed at all.
        captures: Files or folders to look for captures in that are no longer where they were.
    """

    where: Node | None
    nth: int = 1
    most: int | None = 40
    packets: bool = True
    captures: tuple[str, ...] = ()


@dataclass(slots=True)
class Shown:
    """One session.

    Attributes:
        batch: Its record, a RecordBatch of one row.
        row: The same as a dict.
        verdict: What the rules say of it.
        matches: Records of all sessions that fit, in order of time, this one included.
        found: Its packets, None where they were not asked for or cannot be read.
        steps: Rungs of its ladder, None as above.
        notes: What a person must know.
    """

    batch: Any
    row: dict[str, Any]
    verdict: Verdict
    matches: list[dict[str, Any]]
    found: Slice | None = None
    steps: list[Rung | Fold] | None = None
    notes: list[str] = field(default_factory=list)


def show_session(
    inputs: Sequence[str], wish: Wish, options: TrackOptions | None = None, progress: Progress | None = None
) -> Shown | None:
    """Return one session, None if no session fits.

    Packets that cannot be read again are no error: a note says why, and the record is there.

    Args:
        inputs: Captures and datasets.
        wish: Which session, and what of it.
        options: How to track captures.
        progress: Told how far the reading is.

    Raises:
        InputError: An input is neither a capture nor a dataset, or nothing of it can be read.
        UsageError: There are not so many sessions.
    """
    options = options or TrackOptions()
    batches: list[Any] = []
    answer = ask(
        inputs,
        Question(wish.where, None, Order("start"), max(MOST_MATCHES, wish.nth)),
        batches.append,
        options,
        progress,
    )
    matches = [row for batch in batches for row in batch.to_pylist()]
    if not matches:
        return None
    if wish.nth > len(matches):
        raise UsageError(f"--nth {wish.nth}: only {len(matches)} sessions fit")
    row = matches[wish.nth - 1]
    shown = Shown(_one(batches, wish.nth - 1), row, explained(row), matches, notes=answer.notes)
    if wish.packets:
        shown.found = _packets(inputs, row, wish, options, progress, shown.notes)
    if shown.found is not None:
        shown.verdict = numbered(shown.verdict, shown.found)
        shown.steps = _steps(shown.found, row, shown.verdict, wish.most, options, shown.notes)
    return shown


def explained(row: dict[str, Any]) -> Verdict:
    """Return the verdict on a session's record."""
    from lastack.diagnosis.explain import explain  # loads all rules

    return explain(row)


def numbered(verdict: Verdict, found: Slice) -> Verdict:
    """Return a verdict whose proofs have both number and time, where the packets tell the one from the other."""
    times = found.own["ts_ns"]
    numbers = found.own["origin"] & np.uint64((1 << PACKET_BITS) - 1)
    proof = []
    for item in verdict.proof:
        if not item.packet and item.time_ns is not None:
            places = np.flatnonzero(times == item.time_ns)
            if len(places) == 1:
                item = replace(item, packet=int(numbers[places[0]]))
        elif item.packet and item.time_ns is None:
            places = np.flatnonzero(numbers == item.packet)
            if len(places) == 1:
                item = replace(item, time_ns=int(times[places[0]]))
        proof.append(item)
    return replace(verdict, proof=tuple(proof))


def _one(batches: list[Any], place: int) -> Any:
    for batch in batches:
        if place < batch.num_rows:
            return batch.slice(place, 1)
        place -= batch.num_rows
    raise IndexError(place)


def _steps(
    found: Slice,
    row: dict[str, Any],
    verdict: Verdict,
    most: int | None,
    options: TrackOptions,
    notes: list[str],
) -> list[Rung | Fold]:
    if (most is None or most > MOST_RUNGS) and len(found.places) > MOST_RUNGS:
        notes.append(
            f"the ladder shows {MOST_RUNGS:,} packets at most; --packets FILE.pcapng writes all of them"
        )
        most = MOST_RUNGS
    proof = {item.packet for item in verdict.proof if item.packet}
    return list(ladder(found.segments, found.owner, found.session, row, most, proof, options.idle_timeout_ns))


def _packets(
    inputs: Sequence[str],
    row: dict[str, Any],
    wish: Wish,
    options: TrackOptions,
    progress: Progress | None,
    notes: list[str],
) -> Slice | None:
    """Return the packets of a session from the captures of the run that made its record, or a note why not."""
    groups = [names for names in capture_groups(inputs) if row["sensor"] in names]
    problem = f"{row['sensor']} is not among the captures that the dataset names"
    for names in groups:
        paths, missing = resolved(names, wish.captures)
        if not paths or (Path(row["sensor"]).name in {Path(name).name for name in missing}):
            problem = gone(row["sensor"])
            continue
        try:
            found = find_packets(
                row,
                paths,
                idle_ns=options.idle_timeout_ns,
                threads=options.threads,
                progress=progress,
                clock_ns=capture_clocks(inputs, paths),
            )
        except LastackError as error:
            problem = str(error)
            continue
        if missing:
            notes.append(
                f"not read, as they are not there: {', '.join(missing)}; packets in them are missing here"
            )
        notes += found.notes
        return found
    notes.append(f"the packets are not shown: {problem}")
    return None
