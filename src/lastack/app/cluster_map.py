"""The first half of tracking on many machines: a piece of a capture becomes the segments of each shard, in files.

What comes out depends on the piece alone, so that it can be kept when captures are added to a run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lastack.app.cluster_fetch import opened
from lastack.app.cluster_pieces import Piece
from lastack.app.decoding import Decoder
from lastack.app.parts import PartSet
from lastack.app.sightings import Sightings
from lastack.kernels.ingest import TALLY
from lastack.kernels.sharding import SHARDS
from lastack.store.shuffle import SegmentWriter
from lastack.tracking.jobs import in_turn

TALLY_FILE, SIGHTINGS_FILE = "tally.npy", "sightings.npy"
_WINDOW_BYTES = 8 << 20  # what is decoded of it is still in the processor's cache when it is written
_HELD = PartSet()  # a process maps one piece after the other: memory that it has touched once costs no more
_ADD_UP = ("packets", "drops", "encaps", "links", "backwards")


def map_piece(folder: Path, piece: Piece) -> dict[str, Any]:
    """Write the segments of a piece to files of a folder; return what there is to say of it.

    Args:
        folder: Empty.
        piece: What to read.

    Raises:
        InputError: It is not a capture, or it changed.
        AccessError: There is no permission to read it.
    """
    total = np.zeros(1, TALLY)
    with opened(piece) as capture, SegmentWriter(folder, SHARDS) as writer:
        known = capture.read_only(piece.start, piece.end, piece.packets_before, piece.last_ns)
        sightings = Sightings()
        decoder = Decoder(capture, 0, 1, in_turn, _WINDOW_BYTES, _HELD, piece.clock_ns, sightings)
        for parts in decoder.batches():
            for part in parts:
                add_tally(total[0], part.tally[0])
                for shard in range(SHARDS):
                    for segments in part.segments(shard):
                        segments["origin"] += np.uint64(part.before)
                        writer.write(shard, segments)
        flaws = int(capture.state["orphans"][0]) + int(capture.state["untimed"][0]) + capture.problem_count
        said = {
            "packets": int(total["packets"][0]),
            "segments": writer.counts,
            "orphans": int(capture.state["orphans"][0]),
            "problems": [str(problem) for problem in capture.problems],
            "problem_count": capture.problem_count,
            "clean": flaws == 0,
            "sighted": sightings.limit,
            "known": known,
            "left": (len(capture.sections), len(capture.interfaces)),
        }
    np.save(folder / TALLY_FILE, total)
    np.save(folder / SIGHTINGS_FILE, sightings.array)
    return said


def add_tally(total: Any, tally: Any) -> None:
    """Add to one TALLY that of the packets that follow."""
    if tally["packets"] == 0:
        return
    if total["packets"] == 0:
        total["first_ns"], total["last_ns"], total["head_ns"] = (
            tally[name] for name in ("first_ns", "last_ns", "head_ns")
        )
    for name in _ADD_UP:
        total[name] += tally[name]
    total["first_ns"] = min(total["first_ns"], tally["first_ns"])
    total["last_ns"] = max(total["last_ns"], tally["last_ns"])
    total["previous_ns"] = tally["previous_ns"]
