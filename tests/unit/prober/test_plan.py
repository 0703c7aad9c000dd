"""A plan in a simulated world: the kind of timer is always right, and the bound is narrow."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.prober.world import MS, Box, S, explore

from lastack.prober.findings import Expiry, Kind
from lastack.prober.plan import Scope
from lastack.prober.question import FORWARD

HALF = FORWARD[:2]
EXPIRIES = ["silent", "reset_sender", "reset_both", "reset_at_expiry"]


def scope(longest_s: float, connections: int = 120) -> Scope:
    longest = int(longest_s * S)
    return Scope(HALF, 300 * MS, longest, connections, fine=40, deadline_ns=longest * 2 + 10 * S)


@pytest.mark.parametrize("expiry", EXPIRIES)
@pytest.mark.parametrize("absolute", [False, True], ids=["idle", "absolute"])
@pytest.mark.parametrize("seconds", [1.0, 2.5, 30.0])
@pytest.mark.parametrize("half_closed", [True, False], ids=["half_closed", "established"])
def test_matrix__kind_expiry_and_bound_are_right(
    half_closed: bool, seconds: float, absolute: bool, expiry: str
) -> None:
    timer = int(seconds * S)
    box = Box(timer if half_closed else 0, 0 if half_closed else timer, absolute, expiry)
    questions = HALF if half_closed else FORWARD[2:]
    wide = replace(scope(seconds * 1.6 + 1), questions=questions)
    findings, _ = explore(wide, box, seed=int(seconds * 10))
    tolerance = max(20 * MS, timer // 100)
    for finding in findings:
        assert finding.kind is (Kind.absolute if absolute else Kind.idle), finding
        assert finding.expiry is Expiry(expiry), finding
        assert finding.bound.kept_ns is not None
        assert finding.bound.broken_ns is not None
        assert abs(finding.bound.kept_ns - timer) <= tolerance, finding
        assert abs(finding.bound.broken_ns - timer) <= tolerance, finding


@pytest.mark.parametrize("seed", range(4))
def test_loss__moves_neither_kind_nor_bound(seed: int) -> None:
    findings, _ = explore(scope(8, 240), Box(half_closed_ns=4 * S, loss=0.02), seed)
    for finding in findings:
        assert finding.kind is Kind.idle, finding
        assert finding.bound.kept_ns is not None
        assert finding.bound.broken_ns is not None
        assert abs(finding.bound.kept_ns - 4 * S) < 250 * MS
        assert abs(finding.bound.broken_ns - 4 * S) < 250 * MS
        assert finding.bound.kept_ns < finding.bound.broken_ns


@pytest.mark.parametrize("box", [Box(), Box(delay_ns=150 * MS), Box(loss=0.01)], ids=["near", "far", "lossy"])
def test_no_timer__none_is_claimed(box: Box) -> None:
    findings, _ = explore(scope(5), box)
    for finding in findings:
        assert finding.kind is Kind.none, finding
        assert finding.bound.broken_ns is None or finding.bound.doubtful
        assert finding.bound.kept_ns is not None
        assert finding.bound.kept_ns >= 5 * S


def test_two_minutes__are_known_within_two_and_a_half() -> None:
    wide = Scope(HALF, 500 * MS, 150 * S, 1000, deadline_ns=150 * S)
    findings, took = explore(wide, Box(half_closed_ns=120 * S))
    assert took <= 151 * S
    for finding in findings:
        assert finding.bound.width_ns is not None
        # half of what one row of 500 waits has between two of them
        assert finding.bound.width_ns <= 120 * S * 0.007
        assert finding.kind is Kind.unknown or finding.kind is Kind.idle


def test_idle_and_half_closed__are_told_apart() -> None:
    both = Scope(FORWARD, 300 * MS, 8 * S, 320, fine=40, deadline_ns=25 * S)
    findings, _ = explore(both, Box(half_closed_ns=2 * S, established_ns=5 * S))
    by_name = {finding.name: finding.bound for finding in findings}
    for question in FORWARD:
        expected = 2 * S if question.closer else 5 * S
        broken = by_name[question.name].broken_ns
        assert broken is not None
        assert abs(broken - expected) < 60 * MS
