"""Shared work: results come in order, each function runs once, and what fails is told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from lastack.app.decoding import runner
from lastack.app.running import in_order, shared

SECONDS = 10


def jobs(n: int) -> list[Callable[[], int]]:
    """Return functions that give their place."""
    return [partial(int, place) for place in range(n)]


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("n", [0, 1, 8])
def test_shared__gives_results_in_order(n: int, threads: int) -> None:
    with ThreadPoolExecutor(threads) as executor:
        assert shared(jobs(n), runner(executor), threads) == list(range(n))
    assert shared(jobs(n), runner(None), 1) == list(range(n))


def test_shared__a_long_function_does_not_hold_the_others_up() -> None:
    done = threading.Barrier(2)

    def long() -> str:
        done.wait(SECONDS)
        return "long"

    def last() -> str:
        done.wait(SECONDS)
        return "last"

    work: list[Callable[[], Any]] = [long, *jobs(6), last]
    with ThreadPoolExecutor(2) as executor:
        assert shared(work, runner(executor), 2) == ["long", *range(6), "last"]


@pytest.mark.parametrize("threads", [1, 3])
def test_in_order__gives_results_in_order(threads: int) -> None:
    with ThreadPoolExecutor(threads) as executor:
        assert list(in_order(jobs(20), executor, threads)) == list(range(20))
    assert list(in_order(jobs(20), None, 1)) == list(range(20))


def test_in_order__takes_no_more_than_one_ahead_of_the_threads() -> None:
    taken = []

    def given() -> Any:
        for place in range(20):
            taken.append(place)
            yield partial(int, place)

    with ThreadPoolExecutor(2) as executor:
        results = in_order(given(), executor, 2)
        assert next(results) == 0
        assert len(taken) == 3
        results.close()


def test_in_order__tells_what_failed() -> None:
    def fail() -> None:
        raise ValueError("no")

    with ThreadPoolExecutor(2) as executor, pytest.raises(ValueError, match="no"):
        list(in_order([*jobs(3), fail, *jobs(3)], executor, 2))
