"""Turns a profile and a policy into the numbers that the state machines run on."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network

from lastack.firewall.application import Network
from lastack.firewall.policy import Effective, Override, Policy, effective
from lastack.firewall.profile import Profile
from lastack.firewall.schema import turned
from lastack.firewall.table import (
    FOREVER_NS,
    MODE_CODE,
    N_PHASES,
    NO_SESSION_CODE,
    PHASE_CODE,
    REFRESH_MASK,
    RESET_MASK,
    RST_CHECK_CODE,
    Box,
    Ct,
    Linux,
    Room,
    Seg,
    Selector,
    Table,
    TimerRow,
    phase_table,
)
from lastack.firewall.words import CapWhen, Engine, Kind, NoSession, Phase, Segment, TableFull
from lastack.model.errors import UsageError

_V4_IN_V6 = 0xFFFF_0000_0000
_SEGMENT_OF = {
    Seg.syn_ack: Segment.syn_ack,
    Seg.ack: Segment.data,
    Seg.data: Segment.data,
    Seg.fin: Segment.fin,
    Seg.rst: Segment.rst,
}
#: States of conntrack by the phase whose timer they run; ESTABLISHED has the caps besides.
_CT_OF = {
    Phase.syn_sent: Ct.syn_sent,
    Phase.syn_recv: Ct.syn_recv,
    Phase.established: Ct.established,
    Phase.fin1: Ct.fin_wait,
    Phase.fin1_acked: Ct.close_wait,
    Phase.fin2: Ct.last_ack,
    Phase.closed: Ct.time_wait,
    Phase.rst: Ct.close,
}


def compile_box(
    profile: Profile, policy: Policy | None = None, readings: Mapping[str, str] | None = None
) -> Box:
    """Return a box that runs a profile as a policy configures it.

    Its table has no limit unless the policy sets one: what a full table does hides what the timers do.

    Args:
        profile: The system.
        policy: Its configuration; the defaults when None.
        readings: Answers to open questions, over those of the policy.

    Raises:
        UsageError: The profile is a host, which is no box on a path, or has no such reading or switch.
    """
    if profile.engine is Engine.host:
        raise UsageError(
            f"{profile.name} is a host, not a box on the path: choose a firewall, NAT or load balancer"
        )
    profile = resolved(profile, policy, readings)
    overrides = policy.overrides if policy else ()
    tables = [compile_profile(profile, policy, place) for place in range(len(overrides) + 1)]
    selectors = [row for place, override in enumerate(overrides, 1) for row in _selectors(place, override)]
    return Box(tuple(tables), tuple(selectors), _room(profile, policy), profile.name)


def resolved(profile: Profile, policy: Policy | None, readings: Mapping[str, str] | None = None) -> Profile:
    """Return a profile with a policy's switches turned and questions answered.

    Raises:
        UsageError: There is no such switch, question or answer.
    """
    answers = {**profile.readings, **(policy.readings if policy else {}), **(readings or {})}
    return turned(profile, answers, policy.switches if policy else {})


def compile_profile(profile: Profile, policy: Policy | None = None, place: int = 0) -> Table:
    """Return the numbers of one application.

    Args:
        profile: The system, resolved.
        policy: Its configuration.
        place: 0 for sessions that no override matches, n for those of the n-th.
    """
    values = effective(profile, policy, place)
    name = policy.overrides[place - 1].application.name if policy and place else ""
    if profile.engine is Engine.linux_conntrack:
        return _linux(profile, values, name)
    rows, timer_of = _timers(profile, values)
    exceptions = [(rule.phase, rule.event, rule.by, rule.to) for rule in profile.transitions]
    return Table(
        timers=rows,
        timer_of=timer_of,
        transitions=phase_table(exceptions),
        rst_check=RST_CHECK_CODE[profile.effects.rst_check],
        no_session=_no_session(profile),
        per_direction=bool(profile.options.get("per_direction", False)),
        name=name,
    )


def _timers(
    profile: Profile, values: Mapping[str, Effective]
) -> tuple[tuple[TimerRow, ...], tuple[tuple[int, int], ...]]:
    """Return the rows, and for each phase the rows when the client and when the server closed first.

    A phase that restarts a clock which runs already has a row of its own, used from there on: the machine starts a
    timer when the row changes.
    """
    places: dict[tuple[str, int], int] = {}
    rows: list[TimerRow] = []
    restarts: dict[str, int] = {}
    timer_of = [(0, 0)] * N_PHASES
    for phase in Phase:
        pair: list[int] = []
        for name in (profile.phases[phase].client, profile.phases[phase].server):
            if phase in profile.timers[name].restart_in and not pair:
                restarts[name] = restarts.get(name, 0) + 1
            key = (name, restarts.get(name, 0))
            if key not in places:
                places[key] = len(rows)
                rows.append(_row(values[name]))
            pair.append(places[key])
        timer_of[PHASE_CODE[phase]] = (pair[0], pair[1])
    return tuple(rows), tuple(timer_of)


def _row(value: Effective) -> TimerRow:
    timer = value.timer
    mask = REFRESH_MASK[timer.refresh_by]
    return TimerRow(
        name=timer.name,
        ns=FOREVER_NS if value.ns is None else value.ns,
        mode=MODE_CODE[timer.mode],
        refresh=(mask, mask),
        reset=RESET_MASK[timer.on_expiry],
        resolution_ns=timer.resolution_ns,
    )


def _linux(profile: Profile, values: Mapping[str, Effective], name: str) -> Table:
    names = {state: profile.phases[phase].client for phase, state in _CT_OF.items()}
    names[Ct.syn_sent2] = "syn_sent2" if "syn_sent2" in values else names[Ct.syn_sent]
    for cap in profile.caps:
        names[Ct.retrans if cap.when in (CapWhen.retransmissions, CapWhen.zero_window) else Ct.unack] = (
            cap.timer
        )
    missing = {Ct.retrans, Ct.unack} - set(names)
    rows = [TimerRow("", FOREVER_NS)]
    for state in list(Ct)[1:]:
        rows.append(TimerRow(state.name, FOREVER_NS) if state in missing else _row(values[names[state]]))
    options = profile.options
    linux = Linux(
        loose=bool(options.get("loose", True)),
        be_liberal=bool(options.get("be_liberal", False)),
        ignore_invalid_rst=bool(options.get("ignore_invalid_rst", False)),
        max_retrans=int(options.get("max_retrans", 3)),
        drop_invalid=bool(options.get("drop_invalid", True)),
    )
    return Table(tuple(rows), no_session=_no_session(profile), linux=linux, name=name)


def _no_session(profile: Profile) -> tuple[tuple[int, int], ...]:
    effects = profile.effects
    rows = [(NO_SESSION_CODE[NoSession.recreate],) * 2]
    for segment in _SEGMENT_OF.values():
        inside, outside = effects.no_session[segment], effects.no_session_outside[segment]
        # A NAT that forgot a mapping cannot know whose segment from outside it is.
        if profile.kind is Kind.nat and outside in (NoSession.recreate, NoSession.passed):
            outside = NoSession.drop
        rows.append((NO_SESSION_CODE[inside], NO_SESSION_CODE[outside]))
    return tuple(rows)


def _room(profile: Profile, policy: Policy | None) -> Room:
    effects = profile.effects
    size = (policy.table_size if policy else None) or 0
    evicts = effects.table_full is TableFull.evict_then_drop_new
    states = _CT_OF if profile.engine is Engine.linux_conntrack else PHASE_CODE
    codes = [states[phase] for phase in effects.evict if phase in states] if evicts else []
    scales = size and effects.table_full is TableFull.scale_timers
    return Room(
        limit=size,
        evict=tuple(int(code) for code in codes),
        scale_from=max(1, round(size * effects.scale_low)) if scales else 0,
        scale_to=round(size * effects.scale_high) if scales else 0,
        scale_by=effects.scale_factor or 1.0,
    )


def _selectors(place: int, override: Override) -> list[Selector]:
    app = override.application
    return [
        Selector(place, ports, tuple(map(_bits, app.clients)), tuple(map(_bits, app.servers)))
        for ports in app.ports
    ]


def _bits(network: Network) -> tuple[int, int]:
    address, mask = int(network.network_address), int(network.netmask)
    if isinstance(network, IPv4Network):
        return _V4_IN_V6 | address, (2**128 - 2**32) | mask
    return address, mask
