"""A policy becomes ct timeout objects with all ten states, one rule a session, and what Linux does otherwise."""

from __future__ import annotations

import re
from ipaddress import ip_network

import pytest

from lastack.app.profiles import load_profile, profile_names
from lastack.export.nftables import DEFAULTS, Ruleset, ruleset
from lastack.firewall.application import Application
from lastack.firewall.policy import Override, Policy
from lastack.firewall.profile import Profile
from lastack.firewall.words import Engine
from lastack.model.errors import UsageError

S = 10**9
PANOS = load_profile("panos")
BOXES = [name for name in profile_names() if load_profile(name).engine is not Engine.host]


def exported(
    timers: dict[str, int | None], *overrides: Override, profile: Profile = PANOS, hz: int = 1000
) -> Ruleset:
    return ruleset(Policy("p", profile.name, timers, overrides), profile, hz=hz)


def test_half_closed__is_fin_wait_and_close_wait_and_time_wait_is_last_ack_and_time_wait() -> None:
    (item,) = exported({"tcp_half_closed": 40 * S, "tcp_time_wait": 20 * S}).objects
    assert dict(item.seconds) == {
        "syn_sent": 5,
        "syn_recv": 10,
        "established": 3600,
        "fin_wait": 40,
        "close_wait": 40,
        "last_ack": 20,
        "time_wait": 20,
        "close": 20,
        "retrans": 3600,
        "unack": 3600,
    }


def test_values__are_the_effective_ones() -> None:
    (item,) = exported({"tcp_half_closed": 10 * S, "tcp_time_wait": 60 * S}).objects
    assert item.seconds["time_wait"] == 10


def test_linux__keeps_its_own_caps() -> None:
    (item,) = exported({"unacknowledged": 33 * S}, profile=load_profile("linux_conntrack")).objects
    assert (item.seconds["unack"], item.seconds["retrans"]) == (33, 300)
    assert {**item.seconds, "unack": 300} == DEFAULTS


def test_names__follow_the_values_so_that_a_changed_policy_is_a_new_object() -> None:
    first, same, other = (exported({"tcp_half_closed": n * S}).objects[0].name for n in (40, 40, 41))
    assert first == same != other
    assert re.fullmatch(r"global_[0-9a-f]{8}", first)


@pytest.mark.parametrize("scope", ["ssh", "22", "päckchen & co", 'a"b\nc', "x" * 300, "%%%"])
def test_names__and_comments_are_ones_that_nft_takes(scope: str) -> None:
    rules = exported({}, Override(Application(scope, ((22, 22),)), {"tcp_half_closed": 7 * S}))
    assert all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{1,60}", item.name) for item in rules.objects)
    assert all('"' not in text and "\n" not in text for text in rules.comments)


def test_rules__one_for_each_application_in_order_everything_else_last() -> None:
    rules = exported(
        {},
        Override(Application("ssh", ((22, 22),)), {"tcp_half_closed": 3600 * S}),
        Override(
            Application(
                "batch", ((873, 873), (8000, 8100)), (ip_network("10.0.0.0/8"),), (ip_network("10.2.0.0/16"),)
            ),
            {"tcp_half_closed": 600 * S},
        ),
        Override(
            Application("both", servers=(ip_network("10.3.0.0/16"), ip_network("2001:db8::/32"))),
            {"tcp_half_closed": 60 * S},
        ),
    )
    assert [rule.partition("ct timeout")[0].strip() for rule in rules.rules] == [
        "tcp dport 22",
        "ip saddr 10.0.0.0/8 ip daddr 10.2.0.0/16 tcp dport { 873, 8000-8100 }",
        "ip daddr 10.3.0.0/16",
        "ip6 daddr 2001:db8::/32",
        "",
    ]
    assert all(rule.endswith('" return') for rule in rules.rules)


def test_rules__clients_of_one_version_and_servers_of_the_other_match_nothing() -> None:
    app = Application("odd", clients=(ip_network("10.0.0.0/8"),), servers=(ip_network("2001:db8::/32"),))
    assert len(exported({}, Override(app, {"tcp": 2 * S})).rules) == 1


def test_values__beyond_the_kernels_counter_are_cut_and_said() -> None:
    # 2^32 ticks: 17,179,869 s at HZ 250, measured as the last value that does not wrap
    assert exported({"tcp": 15_999_999 * S}, hz=250).objects[0].seconds["established"] == 15_999_999
    rules = exported({"tcp": 15_999_999 * S}, hz=1000)
    assert rules.objects[0].seconds["established"] == 4_294_967
    assert (
        "global: established of 15999999 s is cut to 4294967 s: beyond it the kernel's counter wraps"
        in rules.cannot
    )


def test_values__are_whole_seconds_and_never_is_the_longest() -> None:
    rules = exported({"tcp_half_closed": 1500 * 10**6, "tcp": None})
    assert rules.objects[0].seconds["close_wait"] == 2
    assert rules.objects[0].seconds["established"] == 4_294_967
    assert "global: close_wait is rounded up to 2 s: the kernel counts whole seconds" in rules.cannot


def test_text__never_has_a_state_without_a_value() -> None:
    text = exported({}).text()
    (values,) = re.findall(r"policy = \{ (.*) \}", text)
    assert [part.split(" : ")[0] for part in values.split(", ")] == list(DEFAULTS)


@pytest.mark.parametrize(
    ("profile", "words"),
    [
        ("panos", "absolute times become idle ones: every packet starts tcp_handshake, tcp_half_closed, tcp_time_wait"),
        ("panos", "unverified_rst is not written"),
        ("panos", "times are not shortened as the table fills"),
        ("ipvs", "who closed first makes no difference: fin1 has the longer of close_wait and fin_wait"),
        ("f5_fastl4", "an entry ends in silence: no rst_both for"),
        ("rfc6146", "fin_rcv starts at once"),
        ("netdefendos", "there is one clock"),
        ("cisco_asa", "any ACK of either end after the first FIN starts close_wait"),
        ("checkpoint", "mid-stream segments make a session, unless sysctl -w net.netfilter.nf_conntrack_tcp_loose=0"),
    ],
)  # fmt: skip
def test_cannot__says_what_linux_does_otherwise(profile: str, words: str) -> None:
    assert any(words in line for line in exported({}, profile=load_profile(profile)).cannot)


def test_cannot__is_empty_for_linux_itself() -> None:
    assert exported({}, profile=load_profile("linux_conntrack")).cannot == ()


@pytest.mark.parametrize("name", BOXES)
def test_every_profile__can_be_exported(name: str) -> None:
    rules = exported({}, profile=load_profile(name))
    assert all(0 <= value <= 4_294_967 for item in rules.objects for value in item.seconds.values())


def test_host__and_bad_names_are_refused() -> None:
    with pytest.raises(UsageError, match="linux_host is a host"):
        exported({}, profile=load_profile("linux_host"))
    with pytest.raises(UsageError, match="--table a;b: a name is letters"):
        ruleset(Policy("p", "panos"), PANOS, "a;b")
