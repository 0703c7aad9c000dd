"""Requirements, matches and saved states of a path test."""

from __future__ import annotations

from pathlib import Path

import pytest

from lastack.model.errors import InputError, UsageError
from lastack.prober.findings import Expiry, Finding, Kind
from lastack.prober.match import Default, Known, matches
from lastack.prober.plan import Plan, Scope
from lastack.prober.question import Topic
from lastack.prober.requirement import holds, parse_requirement
from lastack.prober.search import Bound, Search
from lastack.prober.state import load, save
from lastack.prober.trial import Outcome, Sample, Via

S = 10**9


def finding(name: str, kept_s: float | None, broken_s: float | None, kind: Kind = Kind.idle) -> Finding:
    bound = Bound(
        None if kept_s is None else int(kept_s * S),
        None if broken_s is None else int(broken_s * S),
        50,
        50,
        0,
    )
    topic = Topic(next(each for each in Topic if each in name))
    return Finding(name, name, topic, Via.connect, bound, kind, Expiry.silent, 150 * S, 100)


BROKEN_AT_30 = [
    finding("half_close_client", 29.99, 30.0),
    finding("half_close_server", 150, None, Kind.none),
    finding("opening_syn", 10, 10.1, Kind.unknown),
    finding("opening_synack", 30, 30.1, Kind.unknown),
    finding("closed_fin_client", 30, 30.1, Kind.unknown),
]


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("half-close>=10s", True),
        ("half-close >= 29.9s", True),
        ("half-close>=30s", False),
        ("half-close>=1h", False),
        ("half-close-server>=150s", True),
        ("half-close-server>=151s", None),
        ("idle>=1s", None),
        ("opening>=9s", True),
        ("opening>=11s", False),
        ("closed>=1s", None),
        ("reverse-half-close>=1s", None),
    ],
)
def test_requirement__holds_breaks_or_is_not_known(text: str, answer: bool | None) -> None:
    assert holds(parse_requirement(text), BROKEN_AT_30) is answer


@pytest.mark.parametrize("text", ["half-close", "half-closed>=1s", "idle>=", "idle>=soon", "idle<=1s"])
def test_requirement__mistakes_are_told(text: str) -> None:
    with pytest.raises(UsageError, match="requirement"):
        parse_requirement(text)


def known(name: str, half_s: int, mode: str, idle_s: int | None) -> Known:
    idle = Default(None if idle_s is None else idle_s * S)
    return Known(name, name.title(), {"half_close": Default(half_s * S, mode), "idle": idle})


def test_match__excludes_what_contradicts() -> None:
    systems = [
        known("right", 30, "idle", None),
        known("other_mode", 30, "absolute", None),
        known("unknown_mode", 30, "", None),
        known("longer", 60, "idle", None),
        known("short_idle", 30, "idle", 20),
    ]
    found = [BROKEN_AT_30[0], finding("idle_client", 150, None, Kind.none)]
    assert [match.known.name for match in matches(found, systems)] == ["right", "unknown_mode"]


def test_state__brings_a_search_back(tmp_path: Path) -> None:
    scope = Scope(connections=40)
    plan = Plan(scope)
    for trial in plan.next(0):
        if not trial.talk_ns:
            broken = trial.wait_ns > 30 * S
            plan.offer(Sample(trial, Outcome.silent if broken else Outcome.kept, trial.wait_ns))
    path = str(tmp_path / "state.json")
    save(path, "host:1", plan)
    again = Plan(scope, load(path, "host:1", scope))
    for name, inquiry in plan.inquiries.items():
        assert again.inquiries[name].search.bound() == inquiry.search.bound()
    assert all(trial.talk_ns for trial in again.next(0))


def test_state__of_another_run_is_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "state.json")
    save(path, "host:1", Plan(Scope()))
    with pytest.raises(InputError, match="host:1"):
        load(path, "host:2", Scope())
    with pytest.raises(InputError, match="other waits"):
        load(path, "host:1", Scope(longest_ns=S))
    Path(path).write_text("[]")
    with pytest.raises(InputError, match="no state"):
        load(path, "host:1", Scope())
    assert load(str(tmp_path / "none"), "host:1", Scope()) == ()


def test_search__one_lost_sample_does_not_move_the_bound() -> None:
    search = Search(S, 100 * S, 60)
    lost = None
    for wait in search.take():
        kept = wait < 50 * S
        if kept and lost is None and wait < 10 * S:
            lost, kept = wait, False
        search.offer(wait, wait, kept=kept)
    bound = search.bound()
    assert bound.doubtful == 1
    assert bound.kept_ns is not None
    assert bound.broken_ns is not None
    assert bound.kept_ns < 50 * S <= bound.broken_ns
    assert search.advance()
    assert lost in search.take()
