from __future__ import annotations

import numpy as np
import pytest
from tests.unit.replay.population import (
    S,
    behind_an_absolute_timer,
    behind_an_idle_timer,
    kept_alive,
    machines,
    people,
    unlucky,
    worn_out,
)

from lastack.app.profiles import all_profiles
from lastack.replay.deaths import How, Kind
from lastack.replay.finder import Sessions, find_timers
from lastack.replay.matching import matches


@pytest.mark.parametrize("timer", [120, 350, 600])
@pytest.mark.parametrize("law", [people, machines])
@pytest.mark.parametrize("seed", range(4))
def test_finder__finds_an_idle_timer_within_5_percent(seed: int, law: object, timer: int) -> None:
    found = find_timers(behind_an_idle_timer(seed, timer, 10_000, 50, law), Kind.idle)  # type: ignore[arg-type]
    assert len(found) == 1
    assert found[0].mode == "idle"
    assert found[0].expiry == "silent"
    assert found[0].estimate_ns == pytest.approx(timer * S, rel=0.05)
    assert found[0].step.survived_ns < timer * S <= found[0].step.killed_ns


@pytest.mark.parametrize("timer", [30, 120])
@pytest.mark.parametrize("seed", range(5))
def test_finder__tells_an_absolute_timer_from_an_idle_one(seed: int, timer: int) -> None:
    found = find_timers(behind_an_absolute_timer(seed, timer, 10_000, 50), Kind.half_closed)
    assert [one.mode for one in found] == ["absolute"]
    assert found[0].estimate_ns == pytest.approx(timer * S, rel=0.05)


@pytest.mark.parametrize("seed", range(20))
def test_finder__claims_nothing_without_a_timer(seed: int) -> None:
    for kind in (Kind.idle, Kind.half_closed):
        assert not find_timers(unlucky(seed, 5_000, people), kind), "crashes at any time"
        assert not find_timers(unlucky(seed, 5_000, machines, How.rst_on_next), kind), "reboots at any time"
        assert not find_timers(unlucky(seed, 5_000, people, How.rst_at_expiry, 0.2), kind), "people who reset"
        assert not find_timers(worn_out(seed, 5_000, people, 20_000), kind), "crashes at a constant rate"
        assert not find_timers(kept_alive(seed, 5_000), kind), "keepalives"


def test_finder__claims_nothing_from_four_deaths() -> None:
    assert not find_timers(behind_an_idle_timer(1, 350, 10_000, 4, people), Kind.idle)


def test_finder__names_the_server_whose_path_has_the_timer() -> None:
    bad, good = behind_an_idle_timer(1, 350, 4_000, 50, people), unlucky(2, 6_000, people, share=0.001)
    count = len(bad.session_id)
    columns = {
        name: np.concatenate([getattr(bad, name), getattr(good, name)])
        for name in Sessions.__dataclass_fields__
        if name not in ("places", "names", "session_id")
    }
    total = len(columns["how"])
    places = {"all": np.zeros(total, np.int64), "server": (np.arange(total) >= count).astype(np.int64)}
    names = {"all": ("every path",), "server": ("192.0.2.1", "192.0.2.2")}
    ids = np.arange(1, total + 1, dtype=np.uint64)
    found = find_timers(Sessions(ids, **columns, places=places, names=names), Kind.idle)
    assert [(one.scope, one.place) for one in found] == [("server", "192.0.2.1")]


def test_matching__ranks_systems_with_such_a_default_first() -> None:
    (found,) = find_timers(behind_an_idle_timer(3, 350, 10_000, 200, people), Kind.idle)
    names = [match.profile for match in matches(found, all_profiles())]
    assert names == ["aws_nat_gateway", "aws_nlb"]
