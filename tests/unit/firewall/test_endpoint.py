"""Hosts give up a half-closed connection as their makers and measurements say."""

from __future__ import annotations

import pytest

from lastack.app.profiles import load_profile
from lastack.firewall.endpoint import Endpoint, endpoint
from lastack.firewall.policy import Policy
from lastack.model.errors import UsageError

S = 10**9


def host(name: str, **timers: int) -> Endpoint:
    return endpoint(load_profile(name), Policy("p", name, {key: value * S for key, value in timers.items()}))


@pytest.mark.parametrize(
    ("configured", "measured"), [(5, 5), (60, 61), (61, 2), (70, 20), (90, 61), (120, 123)]
)
def test_linux__waits_as_measured_on_6_18(configured: int, measured: int) -> None:
    wait = host("linux_host", fin_wait2_orphan=configured).after_close
    assert wait is not None
    # the kernel's timer wheel and the close itself add up to 3 s
    assert 0 <= measured - wait.ns / S <= 3
    assert not wait.restarts


def test_linux__has_no_limit_for_a_socket_that_is_only_shut_down() -> None:
    assert host("linux_host").after_shutdown is None


def test_windows__limits_even_a_socket_that_still_reads_and_resets_it() -> None:
    wait = host("windows_host").after_shutdown
    assert wait is not None
    assert (wait.ns // S, wait.restarts, wait.resets) == (300, False, True)


def test_freebsd__waits_longer_while_segments_arrive_unless_it_recycles_fast() -> None:
    slow = host("freebsd_host").after_close
    profile = load_profile("freebsd_host", {}, {"fast_finwait2_recycle": True})
    fast = endpoint(profile).after_close
    assert slow is not None
    assert fast is not None
    assert [(wait.ns // S, wait.restarts) for wait in (slow, fast)] == [(600, True), (60, False)]


def test_time_wait__is_known_for_every_host() -> None:
    names = ("linux_host", "windows_host", "freebsd_host", "macos_host", "rfc9293_host")
    waits = [host(name).time_wait for name in names]
    assert [wait.ns // S for wait in waits if wait is not None] == [60, 120, 60, 30, 240]
    assert host("macos_host").after_close is None


def test_box__is_no_endpoint() -> None:
    with pytest.raises(UsageError, match="panos is a firewall, not a host"):
        host("panos")
