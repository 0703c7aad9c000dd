"""A policy resolves override over global over default, then the product's clamp; the commit check says so."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from lastack.app.profiles import load_profile
from lastack.firewall.application import Application, parse_ports
from lastack.firewall.commit import commit_check
from lastack.firewall.diff import diff_policies
from lastack.firewall.policy import Policy, effective
from lastack.firewall.policy_schema import parse_policy
from lastack.firewall.problems import Problem

S = 10**9
PANOS = load_profile("panos")
POLICY = """
profile = "panos"
[timers]
half_closed = "30s"
time_wait = "1m"
[[override]]
app = "ssh"
timers.half_closed = "1h"
[[override]]
name = "batch"
ports = [873, "8000-8100"]
zone = "dmz"
[override.timers]
half_closed = "10m"
tcp = "2h"
[zones]
dmz = ["10.2.0.0/16", "2001:db8:2::/48"]
"""


def parse(text: str, applications: dict[str, Any] | None = None) -> tuple[Policy, list[Problem]]:
    return parse_policy(tomllib.loads(text), PANOS, "p", applications)


def policy(text: str) -> Policy:
    found, problems = parse(text)
    assert not problems
    return found


def effective_s(place: int, name: str, text: str = POLICY) -> tuple[float | None, str, str]:
    value = effective(PANOS, policy(text), place)[name]
    return None if value.ns is None else value.ns / S, value.set_by, value.clamped_by


def test_effective__override_over_global_over_default() -> None:
    assert effective_s(0, "tcp_half_closed") == (30, "global", "")
    assert effective_s(1, "tcp_half_closed") == (3600, "override", "")
    assert effective_s(2, "tcp") == (7200, "override", "")
    assert effective_s(1, "tcp") == (3600, "default", "")


def test_effective__time_wait_never_exceeds_half_closed_in_each_scope() -> None:
    assert effective_s(0, "tcp_time_wait") == (30, "global", "tcp_half_closed")
    assert effective_s(1, "tcp_time_wait") == (60, "global", "")
    assert effective(PANOS)["tcp_time_wait"].ns == 15 * S


def test_effective__zero_is_never_where_the_product_says_so() -> None:
    asa = load_profile("cisco_asa")
    assert effective(asa, Policy("p", "cisco_asa", {"conn": 0}))["conn"].ns is None
    assert effective(PANOS, Policy("p", "panos", {"discard_tcp": 0}))["discard_tcp"].ns == 0


def test_policy__knows_zones_and_ports() -> None:
    batch = policy(POLICY).overrides[1].application
    assert batch.ports == ((873, 873), (8000, 8100))
    assert [str(network) for network in batch.servers] == ["10.2.0.0/16", "2001:db8:2::/48"]


def test_policy__knows_the_zones_of_a_configuration_file() -> None:
    text = """
    profile = "panos"
    [zones.dmz]
    cidr = ["10.2.0.0/16"]
    priority = 10
    [zones.lab]
    cidr = ["10.3.0.0/16"]
    [apps.web]
    ports = [80, 443]
    server_zone = ["dmz", "lab"]
    client_zone = "lab"
    [[override]]
    app = "web"
    timers.tcp = "2h"
    """
    application = policy(text).overrides[0].application
    assert application.text() == "port 80, 443, clients 10.3.0.0/16, servers 10.2.0.0/16, 10.3.0.0/16"


def test_policy__takes_applications_of_another_document() -> None:
    applications = tomllib.loads('[zones]\nlab = ["10.9.0.0/16"]\n[apps.sync]\nports = 873\nzone = "lab"')
    found, problems = parse('profile = "panos"\n[[override]]\napp = "sync"\ntimers.tcp = "2h"', applications)
    assert not problems
    assert found.overrides[0].application.text() == "port 873, servers 10.9.0.0/16"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tabel_size = 3", "tabel_size: no such key; did you mean table_size?"),
        ("[timers]\nhalf_closed = 30", 'timers.half_closed: 30 has no unit; write "30s" for seconds'),
        ('[timers]\ntime_wait = "20m"',
         "timers.time_wait: 20 min is outside of the range of tcp_time_wait, 1 s to 10 min"),
        ('[timers]\nhalf_closed = "30s"\ntcp_half_closed = "40s"',
         "timers.tcp_half_closed: sets tcp_half_closed again: half_closed does already"),
        ('[timers]\nclsing = "3s"', "timers.clsing: panos has no timer 'clsing': known are discard_tcp, embryonic, "
         "established, half_closed, rst, tcp, tcp_half_closed, tcp_handshake, tcp_init, tcp_time_wait, time_wait, "
         "unverified_rst"),
        ('[[override]]\napp = "sssh"\ntimers.tcp = "1h"',
         "override[1].app: no application is called 'sssh': did you mean ssh? Or give its ports, such as 8000-8100"),
        ('[[override]]\ntimers.tcp = "1h"',
         'override[1]: says of no application what it is for; write app = "ssh", ports = 22 or zone = "dmz"'),
        ("[[override]]\nports = 22",
         'override[1].timers: is missing: an override sets at least one timer; write timers.half_closed = "1h"'),
        ('[[override]]\nports = "22-"\ntimers.tcp = "1h"',
         "override[1].ports: '22-' is not a port or a range such as 8000-8100"),
        ('[[override]]\nports = 99999\ntimers.tcp = "1h"', "override[1].ports: 99999 is not a range within 0-65535"),
        ('[[override]]\nzone = "dmz"\ntimers.tcp = "1h"',
         "override[1].zone: no zone is called 'dmz'; declare it under [zones]"),
        ('[[override]]\napp = "ssh"\nports = 22\ntimers.tcp = "1h"',
         "override[1].ports: stands beside app; say it in the application, or leave app out"),
        ('[zones]\ndmz = ["10.2.0.0/33"]', "zones.dmz: '10.2.0.0/33' does not appear to be an IPv4 or IPv6 network"),
        ('[[override]]\nports = 22\ntimers.tcp = "1h"\n' * 1001,
         "override: there are 1,001; more than 1,000 are not taken; join those with the same timers: ports takes a "
         "list"),
        ("[switches]\naccept_non_sin = true",
         "switches.accept_non_sin: panos has no such switch; did you mean accept_non_syn?"),
        ('[forks]\nclosing_refresh = "idel"',
         "forks.closing_refresh: 'idel' is none of its readings; did you mean idle?"),
    ],
)  # fmt: skip
def test_policy__that_is_wrong_is_refused_with_place_and_remedy(text: str, message: str) -> None:
    assert message in [problem.text() for problem in parse(f'profile = "panos"\n{text}')[1]]


def said(text: str) -> list[str]:
    return [f"{p.severity}: {p.text()}" for p in commit_check(policy(text), PANOS) if p.severity != "note"]


def test_commit__accepts_a_time_wait_above_half_closed_and_tells_the_effective_one() -> None:
    assert said('profile = "panos"\n[timers]\nhalf_closed = "30s"\ntime_wait = "1m"') == [
        "warning: timers.tcp_time_wait: 1 min is accepted, but in effect it is 30 s: tcp_time_wait never exceeds "
        "tcp_half_closed; set tcp_half_closed to 1 min or more if that is wanted"
    ]


def test_commit__tells_when_lowering_half_closed_pulls_time_wait_down() -> None:
    assert "in effect it is 5 s" in said('profile = "panos"\n[timers]\nhalf_closed = "5s"')[0]


def test_commit__says_nothing_of_a_policy_without_surprise() -> None:
    assert not said('profile = "panos"\n[timers]\nhalf_closed = "1h"\ntime_wait = "15s"')


def test_commit__finds_an_override_that_never_applies() -> None:
    text = 'profile = "panos"\n[[override]]\nports = "1-100"\ntimers.tcp = "2h"\n'
    text += '[[override]]\napp = "ssh"\ntimers.tcp = "3h"'
    assert said(text) == [
        "warning: override[2]: never applies: 1-100 before it matches all of ssh; put it first, or leave it out"
    ]


def test_commit__warns_of_a_half_closed_time_above_the_idle_time() -> None:
    assert "lives longer (2 h) than an open one" in said('profile = "panos"\n[timers]\nhalf_closed = "2h"')[0]


def test_commit__names_the_open_question_that_a_value_hangs_on() -> None:
    notes = [p for p in commit_check(policy(POLICY), PANOS) if p.severity == "note"]
    assert "forks.closing_refresh" in {p.path for p in notes}
    answered = POLICY.replace("[timers]", '[forks]\nclosing_refresh = "idle"\n[timers]', 1)
    assert "forks.closing_refresh" not in {p.path for p in commit_check(policy(answered), PANOS)}


@pytest.mark.parametrize(
    ("outer", "inner", "covers"),
    [("1-100", "22", True), ("22", "1-100", False), ("1-100,200", "22,200", True), ("22", "22", True)],
)
def test_covers__compares_ports(outer: str, inner: str, covers: bool) -> None:
    assert Application("a", parse_ports(outer)).covers(Application("b", parse_ports(inner))) is covers


def test_diff__tells_configured_and_effective_changes() -> None:
    before = policy('profile = "panos"\n[timers]\ntime_wait = "1m"')
    after = policy(POLICY)
    changes = {(c.scope, c.kind, c.name): c for c in diff_policies(before, PANOS, after, PANOS)}
    clamped = changes["global", "timer", "tcp_time_wait"]
    assert (clamped.before, clamped.after) == (60 * S, 60 * S)
    assert (clamped.effective_before, clamped.effective_after) == (60 * S, 30 * S)
    assert changes["ssh", "override", ""].after == "port 22"
    assert changes["ssh", "timer", "tcp_half_closed"].before == 120 * S
    assert ("global", "timer", "tcp") not in changes


def test_diff__of_a_policy_with_itself_is_empty() -> None:
    assert diff_policies(policy(POLICY), PANOS, policy(POLICY), PANOS) == []


def test_diff__tells_a_new_order() -> None:
    first = 'profile = "panos"\n[[override]]\nports = "1-100"\ntimers.tcp = "2h"\n'
    second = '[[override]]\napp = "ssh"\ntimers.tcp = "3h"\n'
    head = 'profile = "panos"\n'
    swapped = head + second + first.removeprefix(head)
    changes = diff_policies(policy(first + second), PANOS, policy(swapped), PANOS)
    assert [(c.kind, c.before, c.after) for c in changes] == [("override", "1-100, ssh", "ssh, 1-100")]
