"""The shipped profiles say what was collected about each system, no more and no less, but for the departures listed."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from lastack.app.profiles import load_profile, profile_names
from lastack.firewall.profile import Timer
from lastack.firewall.words import Confidence, Phase
from lastack.model.units import NS_PER_S

FACTS: dict[str, dict[str, Any]] = tomllib.loads(
    Path(__file__).with_name("facts.toml").read_text(encoding="utf-8")
)["profile"]
NOT_A_SESSION_TABLE = {"f5_monitor_tcp_half_open"}  # a monitor: it opens sessions and keeps none
NOT_IN_FACTS = {
    "broken_nat",
    "pf_2001",
}  # from the design, and from the older code that the facts' notes describe
SYSTEMS = sorted(set(FACTS) - NOT_A_SESSION_TABLE)
TIMERS = [(system, timer) for system in SYSTEMS for timer in FACTS[system]["timer"]]
BASES = {
    "cisco_asa_pre_9_1_2": "cisco_asa",
    "linux_conntrack_kube_proxy": "linux_conntrack",
    "pf_aggressive": "pf",
}
CAP_STARTS = {"retransmissions", "zero_window", "unacked_data"}

#: (profile, timer) -> phases that the facts give it and the profile does not, and why.
NOT_RUN_IN: dict[tuple[str, str], tuple[set[str], str]] = {
    ("rfc5382", "transitory"): (
        {"fin1", "fin1_acked"},
        "RFC 5382 section 5: the closing phase begins when both ends have sent FIN; the other reading is a fork",
    ),
    ("rfc6146", "established"): (
        {"fin1", "fin1_acked"},
        "the FIN RCV states keep the running lifetime, so they have a timer of their own, fin_rcv",
    ),
    ("freebsd_host", "fin_wait2_fast"): ({"fin1_acked"}, "runs with the switch fast_finwait2_recycle"),
}
RST_CHECK = {"host": "exact", "unknown": None}
NO_SESSION = {
    "drop": "drop",
    "rst": "rst",
    "host_rst": "rst",
    "recreate": "recreate",
    "pass": "pass",
    "policy": "drop",
}


#: RFC 6146 translates such a segment only if a binding exists; that of a session that expired mostly does not. A fork.
OTHER_NO_SESSION = {"rfc6146": "drop"}


def own_timer(system: str, name: str) -> Timer:
    return load_profile(system).timers[name]


def seconds(ns: int | None) -> float | None:
    return None if ns is None else ns / NS_PER_S


def documented_phases(system: str, name: str) -> set[str]:
    """Phases that the facts give a timer; a cap and an unsolicited SYN are no phase of a session."""
    fact, starts = FACTS[system]["timer"][name], set(FACTS[system]["timer"][name]["start"])
    phases = set(fact["applies_in"]) & {str(phase) for phase in Phase}
    if starts & CAP_STARTS or ("syn" in starts and "unreplied" in phases):
        return set()
    return phases


def test_profiles__are_those_of_the_facts() -> None:
    assert set(profile_names()) == set(SYSTEMS) | NOT_IN_FACTS


@pytest.mark.parametrize("system", SYSTEMS)
def test_profile__has_the_facts_sources_and_confidence(system: str) -> None:
    profile, fact = load_profile(system), FACTS[system]
    assert profile.title == fact["title"]
    assert profile.versions == fact["version"]
    assert profile.confidence == fact["confidence"]
    assert "; ".join(profile.sources) == fact["source"]
    assert list(profile.override_scopes) == fact["override_scopes"]
    assert set(fact.get("notes", [])) <= set(profile.notes)
    assert profile.kind == ("host" if system.endswith("_host") else fact["kind"])


@pytest.mark.parametrize(("system", "name"), TIMERS)
def test_timer__has_the_facts_values(system: str, name: str) -> None:
    timer, fact = own_timer(system, name), FACTS[system]["timer"][name]
    assert seconds(timer.ns) == fact.get("seconds")
    assert seconds(timer.minimum_ns) == fact.get("min")
    assert seconds(timer.maximum_ns) == fact.get("max")
    assert timer.vendor_name == fact["vendor_name"]
    assert list(timer.start) == fact["start"]
    assert timer.note == fact.get(
        "note", load_profile(BASES[system]).timers[name].note if system in BASES else ""
    )
    assert timer.confidence == fact.get("confidence", FACTS[system]["confidence"])


@pytest.mark.parametrize(("system", "name"), TIMERS)
def test_timer__runs_in_the_facts_phases_and_else_only_where_nothing_is_documented(
    system: str, name: str
) -> None:
    phases = {phase for phase in own_timer(system, name).phases if phase in list(Phase)}
    documented = documented_phases(system, name)
    assert documented - phases == NOT_RUN_IN.get((system, name), (set(), ""))[0]
    elsewhere = {
        phase
        for other in FACTS[system]["timer"]
        for phase in documented_phases(system, other) - NOT_RUN_IN.get((system, other), (set(), ""))[0]
    }
    assert not (phases - documented) & elsewhere


@pytest.mark.parametrize(("system", "name"), TIMERS)
def test_timer__unknown_refresh_is_an_open_question(system: str, name: str) -> None:
    fact, profile = FACTS[system]["timer"][name], load_profile(system)
    assumed = fact["refresh"] if fact["refresh"] != "unknown" else fact["refresh_assumed"]
    assert profile.timers[name].mode == assumed
    asked = [
        fork
        for fork in profile.forks
        if any(f"timers.{name}.mode" in reading.changes for reading in fork.readings)
    ]
    told_otherwise = system == "mikrotik" and name == "syn_sent"  # the kernel's machine decides there
    bookkeeping = "discard" in profile.timers[name].phases
    if fact["refresh"] == "unknown" and not told_otherwise and not bookkeeping:
        assert len(asked) == 1
        other = load_profile(system, {asked[0].name: asked[0].readings[1].name})
        assert {assumed, str(other.timers[name].mode)} == {"idle", "absolute"}
    else:
        assert not asked


@pytest.mark.parametrize("system", SYSTEMS)
def test_profile__has_the_facts_effects(system: str) -> None:
    profile, fact = load_profile(system), FACTS[system]
    names = {fork.name for fork in profile.forks}
    check = RST_CHECK.get(fact["rst_check"], fact["rst_check"])
    if check is None:
        assert "rst_check" in names or system == "mikrotik" or "fin_handling" in names
    else:
        assert profile.effects.rst_check == check
    if fact["on_no_session"] == "unknown":
        assert "no_session" in names or system == "cisco_ace"
    else:
        wanted = OTHER_NO_SESSION.get(system, NO_SESSION[fact["on_no_session"]])
        assert profile.effects.no_session["data"] == wanted
    if fact.get("table_full", "unknown") != "unknown":
        assert profile.effects.table_full == fact["table_full"]
    for name, timer in fact["timer"].items():
        told = timer.get("on_expiry", fact["on_expiry"])
        if told not in ("unknown", "probe"):
            assert profile.timers[name].on_expiry == told


@pytest.mark.parametrize("system", profile_names())
def test_timer__that_nobody_documents_says_so(system: str) -> None:
    profile = load_profile(system)
    for timer in profile.timers.values():
        if timer.confidence is Confidence.assumed:
            assert timer.source, f"{system}: {timer.name} is assumed without a word"
            assert timer.name not in FACTS.get(system, {"timer": {}})["timer"]
