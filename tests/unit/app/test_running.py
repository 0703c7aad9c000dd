"""Shared work: results come in order, each function runs once, and what fails is told."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from lastack.app.running import Begun, crew_of
from lastack.tracking.jobs import in_turn

SECONDS = 10


def jobs(n: int) -> list[Callable[[], int]]:
    """Return functions that give their place."""
    return [partial(int, place) for place in range(n)]


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("n", [0, 1, 8])
def test_run__gives_results_in_order(n: int, threads: int) -> None:
    with crew_of(threads) as some:
        assert some.run(jobs(n)) == list(range(n)) == in_turn(jobs(n))


def test_run__a_long_function_does_not_hold_the_others_up() -> None:
    done = threading.Barrier(2)

    def long() -> str:
        done.wait(SECONDS)
        return "long"

    def last() -> str:
        done.wait(SECONDS)
        return "last"

    with crew_of(2) as some:
        assert some.run([long, *jobs(6), last]) == ["long", *range(6), "last"]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_begin__each_function_runs_once_whoever_waits_for_what(threads: int) -> None:
    runs: Counter[int] = Counter()
    lock = threading.Lock()

    def note(place: int) -> int:
        with lock:
            runs[place] += 1
        return place

    with crew_of(threads) as some:
        first = some.begin([partial(note, place) for place in range(50)])
        second = some.run([partial(note, place) for place in range(50, 100)])
        assert first.results() + second == list(range(100))
    assert runs == Counter(range(100))


def test_results__the_owner_does_other_work_while_it_waits() -> None:
    going, held = threading.Event(), threading.Event()

    def hold() -> bool:
        going.set()
        return held.wait(SECONDS)

    with crew_of(2) as some:
        first = some.begin([hold])
        assert going.wait(SECONDS)
        other = some.begin([held.set])  # the only other thread is busy until this was run
        assert first.results() == [True]
        assert other.results() == [None]


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_begin__what_follows_others_waits_for_its_own(threads: int) -> None:
    over: list[set[int]] = [set(), set(), set()]

    def note(row: int, place: int) -> bool:
        ready = row == 0 or place in over[row - 1]
        over[row].add(place)
        return ready

    with crew_of(threads) as some:
        begun: list[Begun] = []
        for row in range(3):
            sizes = [(7 * place + row) % 5 for place in range(20)]
            made = [partial(note, row, place) for place in range(20)]
            begun.append(some.begin(made, sizes, begun[-1] if begun else None))
        assert [one.results() for one in begun] == [[True] * 20] * 3


def test_begin__what_follows_others_does_not_wait_for_all_of_them() -> None:
    held = threading.Event()
    with crew_of(2) as some:
        first = some.begin([partial(held.wait, SECONDS), bool])
        second = some.begin([bool, held.set], after=first)
        assert first.results() == [True, False]
        assert second.results() == [False, None]


def test_end__begins_nothing_more() -> None:
    going, held, late = threading.Event(), threading.Event(), threading.Event()

    def hold() -> bool:
        going.set()
        return held.wait(SECONDS)

    with crew_of(2) as some:
        begun = some.begin([hold, late.set])
        assert going.wait(SECONDS)
        ending = threading.Thread(target=begun.end)
        ending.start()
        while begun.left:
            assert ending.is_alive()
        held.set()
        ending.join()
    assert not late.is_set()


@pytest.mark.parametrize("threads", [1, 3])
def test_in_order__gives_results_in_order(threads: int) -> None:
    with crew_of(threads) as some:
        assert list(some.in_order(jobs(20))) == list(range(20))


def test_in_order__takes_no_more_than_one_ahead_of_the_threads() -> None:
    taken = []

    def given() -> Any:
        for place in range(20):
            taken.append(place)
            yield partial(int, place)

    with crew_of(2) as some:
        results = some.in_order(given())
        assert next(results) == 0
        assert len(taken) == 3
        results.close()


@pytest.mark.parametrize("threads", [1, 2])
def test_what_failed__is_told(threads: int) -> None:
    def fail() -> None:
        raise ValueError("no")

    with crew_of(threads) as some:
        with pytest.raises(ValueError, match="no"):
            list(some.in_order([*jobs(3), fail, *jobs(3)]))
        with pytest.raises(ValueError, match="no"):
            some.run([*jobs(3), fail, *jobs(3)])
