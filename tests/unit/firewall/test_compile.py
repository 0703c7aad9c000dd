"""A profile and a policy become the numbers that the machines run on."""

from __future__ import annotations

import pytest
from tests.unit.firewall.own import box

from lastack.app.profiles import load_profile, profile_names
from lastack.firewall.application import Application
from lastack.firewall.compile import compile_box
from lastack.firewall.policy import Override, Policy
from lastack.firewall.profile import single_readings
from lastack.firewall.table import FOREVER_NS, MOST_TIMERS, PHASE_CODE, Ct, Seg, Table, TimerRow
from lastack.firewall.words import Engine, Phase
from lastack.model.errors import UsageError

S = 10**9
BOXES = [name for name in profile_names() if load_profile(name).engine is not Engine.host]


def row(table: Table, phase: Phase, responder: bool = False) -> TimerRow:
    return table.timers[table.timer_of[PHASE_CODE[phase]][responder]]


@pytest.mark.parametrize("name", BOXES)
def test_every_profile__compiles_with_every_reading(name: str) -> None:
    profile = load_profile(name)
    for readings in single_readings(profile.forks):
        table = compile_box(profile, None, readings).tables[0]
        assert len(table.timers) <= MOST_TIMERS
        assert all(0 <= timer.ns <= FOREVER_NS for timer in table.timers)


def test_host__is_no_box() -> None:
    with pytest.raises(UsageError, match="linux_host is a host, not a box on the path"):
        compile_box(load_profile("linux_host"))


def test_panos__runs_its_two_closing_timers() -> None:
    table = compile_box(load_profile("panos")).tables[0]
    told = [
        (row(table, phase).ns // S, row(table, phase).mode) for phase in (Phase.fin1, Phase.fin2, Phase.rst)
    ]
    assert told == [(120, 1), (15, 1), (15, 1)]
    assert row(table, Phase.fin1) is row(table, Phase.fin1_acked), "the same clock goes on"


def test_panos__reading_idle_refreshes() -> None:
    table = compile_box(load_profile("panos"), None, {"closing_refresh": "idle"}).tables[0]
    assert (row(table, Phase.fin1).mode, row(table, Phase.fin1).refresh) == (0, (63, 63))


def test_clamp__is_in_the_numbers_of_each_application() -> None:
    ssh = Override(Application("ssh", ((22, 22),)), {"tcp_half_closed": 5 * S})
    policy = Policy("p", "panos", {"tcp_time_wait": 60 * S}, (ssh,))
    tables = compile_box(load_profile("panos"), policy).tables
    assert [row(table, Phase.closed).ns // S for table in tables] == [60, 5]
    assert [table.name for table in tables] == ["", "ssh"]


def test_selectors__keep_the_order_and_the_networks() -> None:
    from ipaddress import ip_network

    apps = [
        Application("a", ((22, 22), (80, 90))),
        Application("b", clients=(ip_network("10.0.0.0/8"),), servers=(ip_network("2001:db8::/32"),)),
    ]
    policy = Policy("p", "panos", {}, tuple(Override(app, {"tcp": S}) for app in apps))
    found = compile_box(load_profile("panos"), policy).selectors
    assert [(s.table, s.ports) for s in found] == [(1, (22, 22)), (1, (80, 90)), (2, (0, 65535))]
    ((network, mask),) = found[2].clients
    assert network == 0xFFFF_0A00_0000
    assert network & mask == network
    assert (0xFFFF_0A01_0203 & mask) == network
    assert (0xFFFF_0B01_0203 & mask) != network
    ((network, mask),) = found[2].servers
    assert ((0x2001_0DB8 << 96) + 5) & mask == network


def test_restart_in__gives_the_phases_after_it_a_clock_of_their_own() -> None:
    profile = load_profile("panos_legacy")
    keeps = compile_box(profile).tables[0].timer_of
    restarts = compile_box(profile, None, {"second_fin": "restarts"}).tables[0].timer_of
    fin1, fin2, closed = (PHASE_CODE[phase] for phase in (Phase.fin1, Phase.fin2, Phase.closed))
    assert keeps[fin1] == keeps[fin2] == keeps[closed]
    assert restarts[fin1] != restarts[fin2] == restarts[closed]


def test_ipvs__tells_who_closed_first() -> None:
    table = compile_box(load_profile("ipvs")).tables[0]
    assert (row(table, Phase.fin1).ns // S, row(table, Phase.fin1, True).ns // S) == (60, 120)


def test_linux__has_the_timers_of_its_states_at_their_places() -> None:
    table = compile_box(load_profile("linux_conntrack")).tables[0]
    assert [table.timers[state].ns // S for state in Ct if state] == [
        120, 60, 432_000, 120, 60, 30, 120, 10, 120, 300, 300,
    ]  # fmt: skip
    assert table.linux is not None
    assert table.linux.loose
    strict = compile_box(
        load_profile("linux_conntrack"), Policy("p", "linux_conntrack", switches={"loose": False})
    )
    assert strict.tables[0].linux is not None
    assert not strict.tables[0].linux.loose


def test_never__is_forever() -> None:
    policy = Policy("p", "cisco_asa", {"conn": None})
    assert row(compile_box(load_profile("cisco_asa"), policy).tables[0], Phase.established).ns == FOREVER_NS


def test_nat__does_not_know_whose_outside_segment_it_is() -> None:
    profile = box('data = "drop"', 'data = "recreate"')
    assert compile_box(profile).tables[0].no_session[Seg.data] == (2, 2)
    recreating = compile_box(load_profile("cisco_ios_nat"), None, {"no_session": "recreate"}).tables[0]
    assert recreating.no_session[Seg.data] == (2, 0)
    assert compile_box(load_profile("aws_nat_gateway")).tables[0].no_session[Seg.data] == (1, 0)
    assert compile_box(load_profile("azure_nat_gateway")).tables[0].no_session[Seg.data] == (1, 1)


def test_room__is_unlimited_until_a_policy_says() -> None:
    pf = load_profile("pf")
    assert compile_box(pf).room.limit == 0
    room = compile_box(pf, Policy("p", "pf", table_size=100_000)).room
    assert (room.limit, room.scale_from, room.scale_to) == (100_000, 60_000, 120_000)
    linux = compile_box(load_profile("linux_conntrack"), Policy("p", "linux_conntrack", table_size=10)).room
    assert Ct.close_wait in linux.evict
    assert Ct.established not in linux.evict


def test_netdefendos__has_a_clock_for_each_direction() -> None:
    assert compile_box(load_profile("netdefendos")).tables[0].per_direction


@pytest.mark.parametrize("name", BOXES)
def test_every_profile__fits_the_machines_numbers(name: str) -> None:
    from lastack.firewall.pack import pack_selectors, pack_tables

    profile = load_profile(name)
    ssh = Override(Application("ssh", ((22, 22),)), {})
    for switch in (None, *profile.switches):
        switches = {switch.name: not switch.default} if switch else {}
        box = compile_box(profile, Policy("p", name, {}, (ssh,), switches, table_size=1000))
        assert len(pack_tables(box.tables)) == 2
        assert len(pack_selectors(box)) == 2
