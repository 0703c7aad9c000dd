"""One order of the sessions of all shards, each of which is in order already: cut into stretches, merged apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lastack.kernels.layout import SESSION
from lastack.kernels.merging import RUN, cut_runs, merge_runs


def _place_of(part: str, name: str) -> int:
    """Return the bytes of a SESSION before a field."""
    parts: Any = SESSION.fields
    record, before = parts[part][:2]
    return int(before) + int(record.fields[name][1])


_START, _ORIGIN = _place_of("key", "start_ns"), _place_of("info", "origin")


def run_of_columns(starts: Any, origins: Any, numbers: Any = None) -> Any:
    """Return a RUN of items whose start times and origins are columns; they must be kept as long as it.

    Args:
        starts: Start times, int64.
        origins: Origins, 64 bits.
        numbers: What to answer for each, uint32; None for its place.
    """
    run = np.zeros(1, RUN)
    run["starts"], run["start_step"] = starts.ctypes.data, 8
    run["origins"], run["origin_step"] = origins.ctypes.data, 8
    run["numbers"] = 0 if numbers is None else numbers.ctypes.data
    run["stop"] = len(starts)
    return run


def run_of_records(sessions: int, records: int) -> Any:
    """Return a RUN of all sessions of a shard whose records are in order; it answers with record indices.

    Args:
        sessions: Address of the SESSION records.
        records: Highest index in use.
    """
    run = np.zeros(1, RUN)
    run["starts"], run["start_step"] = sessions + _START, SESSION.itemsize
    run["origins"], run["origin_step"] = sessions + _ORIGIN, SESSION.itemsize
    run["head"], run["stop"] = 1, records + 1
    return run


def stretches(runs: Sequence[Any], most: int) -> Iterator[Any]:
    """Yield parts of the runs that follow each other in one order, as RUN records; all but the last have as many items.

    Args:
        runs: RUN records.
        most: Items of a part.
    """
    left = np.concatenate([*runs, np.zeros(0, RUN)])
    while (total := int((left["stop"] - left["head"]).sum())) > 0:
        part = left.copy()
        if total > most:
            cuts = np.zeros(len(left), np.int64)
            cut_runs(left.ctypes.data, len(left), most, cuts.ctypes.data)
            part["stop"] = left["head"] = cuts
        else:
            left["head"] = left["stop"]
        yield part


def merged(part: Any) -> tuple[Any, Any]:
    """Return the run and the number of every item of a part, in order of (start time, origin).

    Args:
        part: RUN records, which are used up.
    """
    total = int((part["stop"] - part["head"]).sum())
    owners, numbers = np.empty(total, np.uint8), np.empty(total, np.uint32)
    merge_runs(part.ctypes.data, len(part), total, owners.ctypes.data, numbers.ctypes.data)
    return owners, numbers


def prepare() -> None:
    """Compile what merges, or load it, so that no run has to wait for it."""
    two = np.zeros(2, np.int64)
    for part in stretches([run_of_columns(two, two)], 1):
        merged(part)
