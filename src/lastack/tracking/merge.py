"""One order of the sessions of all shards, each of which is in order already."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from lastack.kernels.evict import merge_runs

_PIECES = 4
_WORTH_CUTTING = 1 << 18  # sessions

_Run = Callable[[list[Callable[[], Any]]], list[Any]]


def merged(listed: Sequence[tuple[Any, Any, Any]], run: _Run) -> tuple[Any, Any]:
    """Return the shard and the record index of every session, in order of (start time, first packet).

    Args:
        listed: Record indices, start times and origins of each shard, in that order.
        run: Runs functions, at the same time if it can, and returns their results in order.
    """
    lengths = np.array([len(indices) for indices, _, _ in listed], np.int64)
    total = int(lengths.sum())
    owners, indices = np.empty(total, np.uint8), np.empty(total, np.uint32)
    numbers, starts, origins = (np.array([x[n].ctypes.data for x in listed], np.uint64) for n in range(3))
    cuts = [np.zeros(len(listed), np.int64), *_cuts([x[1] for x in listed], total), lengths]
    jobs: list[Callable[[], Any]] = []
    for heads, stops in itertools.pairwise(cuts):
        some = slice(int(heads.sum()), int(stops.sum()))
        ahead = np.zeros(len(listed), np.int64)
        jobs.append(_Merge(starts, origins, numbers, heads.copy(), stops, ahead, owners[some], indices[some]))
    run(jobs)
    return owners, indices


def _cuts(starts: list[Any], total: int) -> list[Any]:
    """Return positions in all runs where the merge can be cut: what starts at the same time stays together."""
    if total < _WORTH_CUTTING:
        return []
    longest = max(starts, key=len)
    times = [longest[len(longest) * piece // _PIECES] for piece in range(1, _PIECES)]
    return [np.array([np.searchsorted(some, time) for some in starts], np.int64) for time in times]


class _Merge:
    """One piece to merge: a function without arguments."""

    def __init__(self, *arguments: Any) -> None:
        self._arguments = arguments

    def __call__(self) -> None:
        merge_runs(*self._arguments)
