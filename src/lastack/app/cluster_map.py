"""The first half of tracking on many machines: one capture becomes the segments of each shard, in files.

What comes out depends on the capture alone, so that it can be kept when captures are added to a run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from lastack.app.decoding import Decoder, Part, runner
from lastack.capture.source import open_capture
from lastack.kernels.ingest import SHARDS, TALLY
from lastack.model.errors import InputError
from lastack.store.shuffle import SegmentWriter

TALLY_FILE = "tally.npy"
_WINDOW_BYTES = 8 << 20  # what is decoded of it is still in the processor's cache when it is written
_HELD: list[
    Part
] = []  # a process maps one capture after the other: memory that it has touched once costs no more
_ADD_UP = ("packets", "drops", "encaps", "links", "backwards")


def map_capture(folder: Path, path: str, size_bytes: int, modified_ns: int) -> dict[str, Any]:
    """Write the segments of a capture to files of a folder; return what there is to say of it.

    Args:
        folder: Empty.
        path: The capture, absolute.
        size_bytes: Its size when the run was planned.
        modified_ns: Its time then.

    Raises:
        InputError: It is not a capture, or it changed.
        AccessError: There is no permission to read it.
    """
    _same(path, size_bytes, modified_ns)
    total = np.zeros(1, TALLY)
    with open_capture(path) as capture, SegmentWriter(folder, SHARDS) as writer:
        for parts in Decoder(capture, 0, 1, runner(None), _WINDOW_BYTES, _HELD).batches():
            for part in parts:
                _add(total[0], part.tally[0])
                for shard in range(SHARDS):
                    segments = part.segments(shard)
                    segments["origin"] += np.uint64(part.before)
                    writer.write(shard, segments)
        orphans = int(capture.state["orphans"][0])
        problems = [str(problem) for problem in capture.problems]
        problem_count = capture.problem_count
    _same(path, size_bytes, modified_ns)
    np.save(folder / TALLY_FILE, total)
    return {
        "capture": path,
        "packets": int(total["packets"][0]) + orphans,
        "segments": writer.counts,
        "orphans": orphans,
        "problems": problems,
        "problem_count": problem_count,
    }


def _same(path: str, size_bytes: int, modified_ns: int) -> None:
    """Refuse a file that is not the one that the run was planned with, as its result would get the wrong name."""
    try:
        status = Path(path).stat()
    except FileNotFoundError:
        raise InputError(f"{path}: not found; every worker must see it under this name") from None
    if (status.st_size, status.st_mtime_ns) != (size_bytes, modified_ns):
        raise InputError(f"{path}: changed while the run was under way; run again when it is whole")


def _add(total: Any, tally: Any) -> None:
    """Add one TALLY to another."""
    if tally["packets"] == 0:
        return
    first = total["packets"] == 0
    for name in _ADD_UP:
        total[name] += tally[name]
    total["first_ns"] = tally["first_ns"] if first else min(total["first_ns"], tally["first_ns"])
    total["last_ns"] = tally["last_ns"] if first else max(total["last_ns"], tally["last_ns"])
