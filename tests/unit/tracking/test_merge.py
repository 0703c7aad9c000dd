"""One order of all shards: the same however it is cut, ties in time go by the first packet."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lastack.tracking.merge import merged, run_of_columns, stretches


def runs(rng: np.random.Generator, times: int) -> list[tuple[Any, Any, Any]]:
    """Return sorted runs whose start times meet often."""
    made = []
    origins = rng.permutation(1000)
    for some in np.split(origins, [0, 170, 171, 620]):
        starts = rng.integers(0, times, len(some))
        order = np.lexsort((some, starts))
        numbers = rng.integers(1, 1 << 20, len(some)).astype(np.uint32)
        made.append((starts[order].astype(np.int64), some[order].astype(np.int64), numbers))
    return made


@pytest.mark.parametrize("times", [1, 3, 100, 1 << 40])
@pytest.mark.parametrize("most", [90, 999, 1000, 1 << 16])
def test_stretches__together_are_the_sorted_whole(times: int, most: int) -> None:
    listed = runs(np.random.default_rng(times), times)
    parts = [merged(part) for part in stretches([run_of_columns(*x) for x in listed], most)]
    assert {len(owners) for owners, _ in parts[:-1]} <= {most}
    assert 0 < len(parts[-1][0]) <= most
    owners, indices = (np.concatenate(column) for column in zip(*parts, strict=True))
    shard = np.concatenate([np.full(len(x[0]), n) for n, x in enumerate(listed)])
    starts, origins, numbers = (np.concatenate([x[n] for x in listed]) for n in range(3))
    order = np.lexsort((origins, starts))
    assert np.array_equal(owners, shard[order])
    assert np.array_equal(indices, numbers[order])


def test_merged__answers_places_without_numbers() -> None:
    one, two = np.array([5, 7], np.int64), np.array([6], np.int64)
    (part,) = stretches([run_of_columns(one, one), run_of_columns(two, two)], 10)
    owners, places = merged(part)
    assert owners.tolist() == [0, 1, 0]
    assert places.tolist() == [0, 0, 1]


def test_stretches__of_items_that_are_equal_go_by_the_run() -> None:
    same = np.full(5, 3, np.int64)
    parts = [merged(part) for part in stretches([run_of_columns(same, same) for _ in range(2)], 1)]
    assert np.concatenate([owners for owners, _ in parts]).tolist() == [0] * 5 + [1] * 5


def test_stretches__of_nothing_are_none() -> None:
    empty = (np.empty(0, np.int64), np.empty(0, np.int64))
    assert list(stretches([run_of_columns(*empty), run_of_columns(*empty)], 10)) == []
    assert list(stretches([], 10)) == []
