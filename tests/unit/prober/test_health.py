"""A target's state changes after so many answers in a row, and never because this host could not ask."""

from __future__ import annotations

from lastack.prober.health import Health, Schedule, State
from lastack.prober.outcome import Opening, Result

UP, REFUSED, ERROR = Result(Opening.up, 1000), Result(Opening.refused), Result(Opening.error)


def states(schedule: Schedule, *results: Result) -> list[State]:
    health = Health(schedule, 0)
    out = []
    for number, result in enumerate(results):
        health.offer(result, number)
        out.append(health.state)
    return out


def test_down__after_so_many_in_a_row() -> None:
    schedule = Schedule(down_after=3)
    assert states(schedule, UP, REFUSED, REFUSED, UP, REFUSED, REFUSED, REFUSED) == [State.up] * 6 + [
        State.down
    ]


def test_up__after_so_many_in_a_row() -> None:
    schedule = Schedule(up_after=2, down_after=1)
    assert states(schedule, REFUSED, UP, REFUSED, UP, UP) == [State.down] * 4 + [State.up]


def test_an_error_of_this_host__changes_nothing() -> None:
    schedule = Schedule(down_after=1)
    assert states(schedule, UP, ERROR, ERROR) == [State.up] * 3


def test_change__tells_how_long_the_old_state_lasted() -> None:
    health = Health(Schedule(down_after=1), 0)
    health.offer(UP, 10)
    change = health.offer(REFUSED, 35)
    assert change is not None
    assert (change.before, change.after, change.lasted_ns) == (State.up, State.down, 25)


def test_up_interval__is_used_while_up() -> None:
    health = Health(Schedule(interval_ns=5, up_interval_ns=60, down_after=1), 0)
    assert health.pause_ns() == 5
    health.offer(UP, 1)
    assert health.pause_ns() == 60
    health.offer(REFUSED, 2)
    assert health.pause_ns() == 5
