from __future__ import annotations

import math

import pytest

from lastack.firewall.table import Room
from lastack.replay.load import load, scaled


def test_load__is_arrivals_times_holding_time() -> None:
    # kubernetes/kubernetes#97377: 1300 connections a second with a CLOSE_WAIT timer of an hour, and 655,360 entries.
    found = load(655_360, 0, 1300, 3600)
    assert found.offered == 4_680_000
    assert found.seconds_to_full == pytest.approx(504.1, abs=0.1)
    assert found.refused == pytest.approx(1 - 655_360 / 4_680_000)


def test_load__never_fills_what_is_large_enough() -> None:
    assert load(655_360, 0, 180, 3600).seconds_to_full is None
    assert load(0, 0, 1300, math.inf).refused == 0


def test_load__adaptive_timers_settle_below_their_end() -> None:
    # pf: from 60,000 on timers shrink in a straight line to nothing at 120,000; the limit is 100,000.
    room = Room(limit=100_000, scale_from=60_000, scale_to=120_000)
    found = scaled(load(100_000, 0, 1000, 90), room)
    assert found.offered == 90_000
    assert 60_000 < found.settles < 90_000
    assert found.settles == pytest.approx(90_000 * found.factor)
    assert found.refused == 0


def test_load__accelerated_aging_divides_the_timers() -> None:
    room = Room(limit=1000, scale_from=800, scale_by=2.0)
    assert scaled(load(1000, 0, 100, 12), room).refused == 0
    assert scaled(load(1000, 0, 100, 40), room).refused == pytest.approx(0.5)
