"""Plans of flows: what is dealt out, and what is refused."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from lastack.lab.traffic.plan import FlowPlan, deal
from lastack.model.errors import UsageError


def test_deal__every_combination_gets_its_turn() -> None:
    plans = deal(8, sizes=(10, 20), directions=("up", "down"), closes=("half-close", "rst"))
    assert len({(p.up_bytes, p.down_bytes, p.close) for p in plans}) == 8


def test_deal__begins_again_when_flows_are_more_than_combinations() -> None:
    plans = deal(5, sizes=(10, 20))
    assert [plan.down_bytes for plan in plans] == [10, 20, 10, 20, 10]


@pytest.mark.parametrize(
    ("direction", "up", "down"), [("up", 10, 0), ("down", 0, 10), ("both", 10, 10)], ids=str
)
def test_deal__a_direction_without_data_has_no_size_and_no_rate(direction: str, up: int, down: int) -> None:
    (plan,) = deal(1, sizes=(10,), rates_bps=(8000,), directions=(direction,))
    assert (plan.up_bytes, plan.down_bytes) == (up, down)
    assert (plan.up_rate_bps > 0, plan.down_rate_bps > 0) == (up > 0, down > 0)


def test_deal__reply_sizes_go_downwards_and_the_last_one_lasts() -> None:
    plans = deal(3, sizes=(1, 2, 3), reply_sizes=(100, 200), directions=("both",))
    assert [(plan.up_bytes, plan.down_bytes) for plan in plans] == [(1, 100), (2, 200), (3, 200)]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"close": "slam"}, "no way to close is called 'slam'; there are half-close, when-finished, rst"),
        ({"opener": "both"}, "opener 'both': choose near or far"),
        ({"up_bytes": -1}, "up_bytes = -1"),
        ({"up_bytes": 1.5}, "up_bytes = 1.5"),
        ({"down_rate_bps": True}, "down_rate_bps = True"),
        ({"hold_ns": 10**20}, "hold_ns"),
    ],
)
def test_plan__nonsense_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        FlowPlan(**fields)
    assert message in str(raised.value)


@pytest.mark.parametrize("told", [None, [], {"up_bytes": 1, "colour": 2}, {"close": []}, "flow"])
def test_plan__what_another_program_tells_is_checked(told: Any) -> None:
    with pytest.raises(UsageError):
        FlowPlan.from_json(told)


def test_plan__arrives_as_it_was_sent() -> None:
    plan = FlowPlan(up_bytes=3, close="rst", opener="far", think_ns=5, hold_ns=6, every_ns=7)
    assert FlowPlan.from_json(asdict(plan)) == plan


def test_plan__its_own_pauses_are_no_stall() -> None:
    assert FlowPlan(think_ns=30, hold_ns=20).longest_silence_ns() == 30
    assert FlowPlan(every_ns=50, down_rate_bps=8).longest_silence_ns() == 50
    assert FlowPlan(every_ns=50).longest_silence_ns() == 0, "without a rate there are no bursts"
