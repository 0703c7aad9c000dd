"""One order of all shards: the same however it is cut, ties in time go by the first packet."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lastack.tracking import merge


def runs(rng: np.random.Generator, times: int) -> list[tuple[Any, Any, Any]]:
    """Return sorted runs whose start times meet often."""
    made = []
    origins = rng.permutation(4000)
    for some in np.split(origins, [0, 700, 701, 2500]):
        starts = rng.integers(0, times, len(some))
        order = np.lexsort((some, starts))
        numbers = rng.integers(1, 1 << 20, len(some)).astype(np.uint32)
        made.append((numbers, starts[order].astype(np.int64), some[order].astype(np.int64)))
    return made


@pytest.mark.parametrize("times", [1, 3, 100, 1 << 40])
@pytest.mark.parametrize("cut", [False, True])
def test_merged__is_the_sorted_whole(monkeypatch: pytest.MonkeyPatch, times: int, cut: bool) -> None:
    monkeypatch.setattr(merge, "_WORTH_CUTTING", 0 if cut else 1 << 18)
    listed = runs(np.random.default_rng(times), times)
    owners, indices = merge.merged(listed, lambda jobs: [job() for job in jobs])
    shard = np.concatenate([np.full(len(x[0]), n) for n, x in enumerate(listed)])
    numbers, starts, origins = (np.concatenate([x[n] for x in listed]) for n in range(3))
    order = np.lexsort((origins, starts))
    assert np.array_equal(owners, shard[order])
    assert np.array_equal(indices, numbers[order])


def test_merged__of_nothing_is_nothing() -> None:
    empty = (np.empty(0, np.uint32), np.empty(0, np.int64), np.empty(0, np.int64))
    owners, indices = merge.merged([empty, empty], lambda jobs: [job() for job in jobs])
    assert len(owners) == len(indices) == 0
