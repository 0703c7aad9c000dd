"""Sorted runs of (start time, origin) become one order, a stretch at a time: where a stretch ends, and what is in it.

Both read start times and origins where they are, in columns or in records of the flow table: a copy of them, in memory
that nobody had touched, took longer than the merge.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lastack.kernels._jit import (
    helper,
    kernel,
    load_le32,
    load_le64,
    prefetch,
    record_at,
    store_u8,
    store_u32,
    store_u64,
)
from lastack.kernels.decode_words import i64
from lastack.kernels.layout import table_at
from lastack.kernels.pool import info_of, key_of

#: A run: where it has its start times and origins (address and bytes from one to the next), what to answer for each
#: place (address of u4; 0 for the place itself), and the stretch of it that is to be merged.
RUN = np.dtype(
    [
        ("starts", "i8"), ("start_step", "i8"), ("origins", "i8"), ("origin_step", "i8"),
        ("numbers", "i8"), ("head", "i8"), ("stop", "i8"), ("ahead", "i8"),
    ]
)  # fmt: skip
_SIZE = RUN.itemsize
_FOREVER = (1 << 63) - 1
_AHEAD = 12  # items of a run
_run_at = record_at(RUN)


@kernel
def in_order(table: Any) -> Any:
    """Return 1 if every record up to the last is in use and they are in order of (start time, origin), else 0."""
    t = table_at(table)
    if t.live != t.records:
        return 0
    last = -i64(_FOREVER)
    for index in range(1, t.records + 1):
        start = key_of(t, index).start_ns
        if start <= last and index > 1:
            if start < last or info_of(t, index).origin < info_of(t, index - 1).origin:
                return 0
        last = start
    return 1


@helper
def _start(r: Any, place: Any) -> Any:
    return i64(load_le64(r.starts + place * r.start_step))


@helper
def _origin(r: Any, place: Any) -> Any:
    return i64(load_le64(r.origins + place * r.origin_step))


@helper
def _first_from(column: Any, step: Any, low: Any, high: Any, least: Any) -> Any:
    """Return the first place in [low, high) of a sorted column whose number is not below one; `high` if there is none.

    Args:
        column: Address of the number at place 0 (i8).
        step: Bytes from one number to the next.
        low: First place.
        high: Place after the last one.
        least: The number.
    """
    while low < high:
        middle = (low + high) >> 1
        if i64(load_le64(column + middle * step)) < least:
            low = middle + 1
        else:
            high = middle
    return low


@helper
def _upper_middle(low: Any, high: Any) -> Any:
    """Return the mean of two numbers, rounded up; their sum and difference may not fit."""
    return (low | high) - ((low ^ high) >> 1)


@helper
def _before(runs: Any, count: Any, wanted: Any, start: Any) -> Any:
    """Return how many items of the stretches begin before a time, or more than wanted."""
    total = i64(0)
    for j in range(count):
        r = _run_at(runs + j * _SIZE)
        total += _first_from(r.starts, r.start_step, r.head, min(r.stop, r.head + wanted + 1), start) - r.head
    return total


@kernel
def cut_runs(runs: Any, count: Any, wanted: Any, cuts: Any) -> Any:
    """Write the place in each run after the first items of all, in one order.

    Args:
        runs: Address of RUN records; together they have more than the wanted items.
        count: Number of runs.
        wanted: How many items come before the cut.
        cuts: Address of the answer (i8 for each run).
    """
    low, high = i64(_FOREVER), -i64(_FOREVER)
    for j in range(count):
        r = _run_at(runs + j * _SIZE)
        if r.head < r.stop:
            low = min(low, _start(r, r.head))
            high = max(high, _start(r, min(r.stop, r.head + wanted + 1) - 1))
    # The last time before which there are not more than wanted.
    while low < high:
        middle = _upper_middle(low, high)
        if _before(runs, count, wanted, middle) <= wanted:
            low = middle
        else:
            high = middle - 1
    left = wanted - _before(runs, count, wanted, low)
    for j in range(count):
        r = _run_at(runs + j * _SIZE)
        store_u64(cuts + j * 8, _first_from(r.starts, r.start_step, r.head, r.stop, low))
    if left == 0:
        return 0
    _cut_ties(runs, count, left, low, cuts)
    return 0


@helper
def _cut_ties(runs: Any, count: Any, left: Any, start: Any, cuts: Any) -> Any:
    """Move cuts behind some of the items that begin at the same time: the lowest origins, then the first runs."""
    low, high = -i64(_FOREVER), i64(_FOREVER)
    while low < high:
        middle = _upper_middle(low, high)
        total = i64(0)
        for j in range(count):
            r = _run_at(runs + j * _SIZE)
            first = i64(load_le64(cuts + j * 8))
            after = _first_from(r.starts, r.start_step, first, r.stop, start + 1)
            total += _first_from(r.origins, r.origin_step, first, after, middle) - first
        if total <= left:
            low = middle
        else:
            high = middle - 1
    for j in range(count):
        r = _run_at(runs + j * _SIZE)
        first = i64(load_le64(cuts + j * 8))
        after = _first_from(r.starts, r.start_step, first, r.stop, start + 1)
        cut = _first_from(r.origins, r.origin_step, first, after, low)
        left -= cut - first
        store_u64(cuts + j * 8, cut)
    for j in range(count):
        r = _run_at(runs + j * _SIZE)
        cut = i64(load_le64(cuts + j * 8))
        while left > 0 and cut < r.stop and _start(r, cut) == start and _origin(r, cut) == low:
            cut += 1
            left -= 1
        store_u64(cuts + j * 8, cut)


@helper
def _first_of_ties(runs: Any, count: Any, start: Any) -> Any:
    """Return the run whose next item has the lowest origin, of those that begin at a time."""
    best = i64(-1)
    lowest = i64(_FOREVER)
    for j in range(count):
        r = _run_at(runs + j * _SIZE)
        if r.ahead == start and r.head < r.stop:
            origin = _origin(r, r.head)
            if best < 0 or origin < lowest:
                best, lowest = i64(j), origin
    return best


@kernel
def merge_runs(runs: Any, count: Any, n: Any, owners: Any, places: Any) -> Any:
    """Merge the stretches of sorted runs into one order: for each place of it the run and what is there.

    Args:
        runs: Address of RUN records; `head` is moved.
        count: Number of runs.
        n: Items of all stretches.
        owners: Address of the answer (u1): number of the run.
        places: Address of the answer (u4): place in the run, or the number given for it.
    """
    for j in range(count):
        r = _run_at(runs + j * _SIZE)
        r.ahead = _start(r, r.head) if r.head < r.stop else i64(_FOREVER)
    for at in range(n):
        best, ties = i64(0), i64(0)
        first = i64(_run_at(runs).ahead)
        for j in range(1, count):
            # no branch: which run is next cannot be foreseen
            ahead = i64(_run_at(runs + j * _SIZE).ahead)
            ties = 0 if ahead < first else ties + (1 if ahead == first else 0)
            best = j if ahead < first else best
            first = min(ahead, first)
        if ties != 0 or first == _FOREVER:
            best = _first_of_ties(runs, count, first)
        r = _run_at(runs + best * _SIZE)
        head = i64(r.head)
        store_u8(owners + at, best)
        store_u32(places + at * 4, head if r.numbers == 0 else i64(load_le32(r.numbers + head * 4)))
        r.head = head + 1
        # the processor does not foresee eight runs of records that are three lines apart each
        prefetch(r.starts + (head + _AHEAD) * r.start_step)
        prefetch(r.origins + (head + _AHEAD) * r.origin_step)
        r.ahead = _start(r, head + 1) if head + 1 < r.stop else i64(_FOREVER)
    return 0
