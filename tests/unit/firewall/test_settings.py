"""A timer is found under its own name, its vendor's, or its role; what a product refuses is refused."""

from __future__ import annotations

import pytest

from lastack.app.profiles import load_profile
from lastack.firewall.policy import Policy
from lastack.firewall.settings import timers_of, with_settings
from lastack.model.errors import UsageError

S = 10**9


@pytest.mark.parametrize(
    ("profile", "word", "names"),
    [
        ("panos", "half_closed", "tcp_half_closed"),
        ("panos", "timeout-tcp-half-closed", "tcp_half_closed"),
        ("panos", "TCP Time Wait", "tcp_time_wait"),
        ("panos", "embryonic", "tcp_init tcp_handshake"),
        ("panos_legacy", "half-closed", "tcp_wait"),
        ("panos_legacy", "timeout-tcpwait", "tcp_wait"),
        ("fortigate", "tcp-halfclose-timer", "halfclose"),
        ("fortigate", "time_wait", "timewait"),  # its LAST_ACK cannot be set
        ("linux_conntrack", "half_closed", "fin_wait close_wait"),
        ("linux_conntrack", "nf_conntrack_tcp_timeout_close_wait", "close_wait"),
        ("cisco_asa", "idle", "conn"),
        ("pf", "tcp.closing", "closing"),
        ("rfc6146", "half_closed", "fin_rcv"),
    ],
)
def test_timer__is_found_in_every_vendors_words(profile: str, word: str, names: str) -> None:
    assert " ".join(timer.name for timer in timers_of(load_profile(profile), word)) == names


@pytest.mark.parametrize(
    ("profile", "word", "message"),
    [
        ("panos", "half_clsed", "panos has no timer 'half_clsed': did you mean half_closed?"),
        ("checkpoint", "half_closed",
         "checkpoint has no half closed timer of its own: session, its established timer, runs there; set session if "
         "that is meant"),
        ("panos_legacy", "time_wait",
         "panos_legacy has no time wait timer of its own: tcp_wait, its half closed timer, runs there; set tcp_wait if "
         "that is meant"),
        ("macos_host", "half_closed", "macos_host has no timer for half closed: it has time_wait"),
    ],
)  # fmt: skip
def test_timer__of_a_role_that_another_plays_is_refused(profile: str, word: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        timers_of(load_profile(profile), word)
    assert str(caught.value) == message


def test_settings__become_a_policy() -> None:
    policy = with_settings(
        Policy("p", "panos"),
        load_profile("panos"),
        ["half_closed=30s", "time_wait = 1m30s", "accept_non_syn=on", "table_size=655360"],
        ["ssh.half_closed=1h", "8000-8100.half_closed=10m", "ssh.time_wait=20s"],
    )
    assert policy.timers == {"tcp_half_closed": 30 * S, "tcp_time_wait": 90 * S}
    assert policy.switches == {"accept_non_syn": True}
    assert policy.table_size == 655_360
    assert [(o.application.name, o.application.ports, dict(o.timers)) for o in policy.overrides] == [
        ("ssh", ((22, 22),), {"tcp_half_closed": 3600 * S, "tcp_time_wait": 20 * S}),
        ("8000-8100", ((8000, 8100),), {"tcp_half_closed": 600 * S}),
    ]


def test_settings__follow_a_switch_that_moves_a_role() -> None:
    profile = load_profile("juniper_srx")
    with pytest.raises(UsageError, match="no half closed timer of its own"):
        with_settings(Policy("p", "juniper_srx"), profile, ["half_closed=30s"])
    policy = with_settings(
        Policy("p", "juniper_srx"), profile, ["half_closed=30s", "apply_to_half_close_state=on"]
    )
    assert policy.timers == {"time_wait": 30 * S}


@pytest.mark.parametrize(
    ("sets", "apps", "message"),
    [
        (["half_closed"], [], "'half_closed' is not NAME=VALUE, such as --set half_closed=30s"),
        (["half_closed=30"], [],
         "half_closed: '30' is not a duration: give numbers with units, such as 30s, 250ms or 2h4m"),
        (["half_closed=8d"], [], "half_closed=8d: 8 d is outside of the range of tcp_half_closed, 1 s to 7 d"),
        (["half_closed=never"], [],
         "half_closed=never: never is not a value of tcp_half_closed: its range is 1 s to 7 d"),
        (["accept_non_syn=maybe"], [], "accept_non_syn=maybe: a switch is on or off"),
        (["table_size=many"], [], "table_size=many: give a whole number, 0 for no limit"),
        ([], ["half_closed=30s"],
         "--app half_closed=30s: name an application and a timer, such as --app ssh.half_closed=1h"),
        ([], ["shs.half_closed=1h"],
         "no application is called 'shs': did you mean ssh? Or give its ports, such as 8000-8100"),
        ([], ["8100-8000.half_closed=1h"], "--app 8100-8000: 8100-8000 is not a range within 0-65535"),
        ([], ["ssh.tcp_init=6s"],
         "tcp_init=6s: tcp_init is global on Palo Alto Networks PAN-OS, two closing timers: it has no value for one "
         "application"),
    ],
)  # fmt: skip
def test_settings__that_mean_nothing_are_refused(sets: list[str], apps: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        with_settings(Policy("p", "panos"), load_profile("panos"), sets, apps)
    assert str(caught.value) == message


def test_settings__of_a_sweep_may_leave_the_range() -> None:
    profile = load_profile("cisco_asa")
    policy = with_settings(Policy("p", "cisco_asa"), profile, ["half_closed=5s"], ranges=False)
    assert policy.timers == {"half_closed": 5 * S}


def test_settings__of_a_box_that_is_no_product_may_be_for_one_application() -> None:
    profile = load_profile("panos_legacy")
    policy = with_settings(Policy("p", "panos_legacy"), profile, [], ["ssh.tcp_wait=1h"], ranges=False)
    assert policy.overrides[0].timers == {"tcp_wait": 3600 * S}
    fixed = load_profile("linux_conntrack")
    with pytest.raises(UsageError, match="cannot be configured"):
        with_settings(Policy("p", "linux_conntrack"), fixed, ["syn_sent2=1s"], ranges=False)
