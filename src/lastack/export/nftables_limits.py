"""What Linux conntrack does otherwise than the box that a policy is for, in sentences for its administrator."""

from __future__ import annotations

from collections.abc import Iterator

from lastack.firewall.policy import Policy
from lastack.firewall.profile import Profile, Timer
from lastack.firewall.words import (
    Engine,
    Mode,
    NoSession,
    OnExpiry,
    Phase,
    RefreshBy,
    RstCheck,
    Segment,
    TableFull,
)

_STATE_PHASES = (
    Phase.syn_sent,
    Phase.syn_recv,
    Phase.established,
    Phase.fin1,
    Phase.fin1_acked,
    Phase.fin2,
    Phase.closed,
    Phase.rst,
)


def limits_of(policy: Policy, profile: Profile) -> list[str]:
    """Return the differences that sessions can notice, those of the timers first.

    Args:
        policy: The policy.
        profile: The profile it configures, resolved.
    """
    found = [*_timers(profile)]
    if profile.engine is not Engine.linux_conntrack:
        found += _machine(profile)
    if policy.table_size:
        found.append(
            f"a table of {policy.table_size} entries is not part of this: sysctl -w "
            f"net.netfilter.nf_conntrack_max={policy.table_size} (for all sessions of the namespace)"
        )
    if policy.overrides:
        found.append(
            "an application is told by the first packet, after destination NAT; a session that is under way "
            "keeps its times"
        )
    return found


def _timers(profile: Profile) -> Iterator[str]:
    running = list(dict.fromkeys(name for phase in _STATE_PHASES for name in _names(profile, phase)))
    absolute = [name for name in running if profile.timers[name].mode is Mode.absolute]
    absolute = [name for name in absolute if not _linux_opening(profile, profile.timers[name])]
    if absolute:
        yield f"absolute times become idle ones: every packet starts {', '.join(absolute)} again"
    partly = [n for n in running if profile.timers[n].refresh_by not in (RefreshBy.any, RefreshBy.none)]
    if partly:
        yield f"every packet restarts {', '.join(partly)}, not some only"
    keeping = [name for name in running if profile.timers[name].mode is Mode.keep]
    if keeping:
        yield f"{', '.join(keeping)} starts at once: Linux cannot leave the running time until a packet comes"
    for phase in _STATE_PHASES:
        client, server = _names(profile, phase)
        if client != server:
            yield (f"who closed first makes no difference: {phase} has the longer of {client} and {server}")
    loud = [n for n in running if profile.timers[n].on_expiry not in (OnExpiry.silent, OnExpiry.rst_on_next)]
    if loud:
        yield f"an entry ends in silence: no {profile.timers[loud[0]].on_expiry} for {', '.join(loud)}"


def _machine(profile: Profile) -> Iterator[str]:
    yield (
        "the kernel's own state machine runs: a FIN repeated by the same end counts as the second FIN, and a RST in a "
        "closing session is believed unchecked"
    )
    effects = profile.effects
    if effects.no_session[Segment.data] is NoSession.drop:
        yield (
            "mid-stream segments make a session, unless sysctl -w net.netfilter.nf_conntrack_tcp_loose=0 and a rule "
            "`ct state invalid drop` refuse them"
        )
    elif effects.no_session[Segment.data] is NoSession.rst:
        yield (
            "segments without a session get no RST, unless sysctl -w net.netfilter.nf_conntrack_tcp_loose=0 and a "
            "rule `ct state invalid reject with tcp reset` answer them"
        )
    if effects.rst_check is RstCheck.window_then_exact:
        name = profile.phases[Phase.rst_unverified].client
        if name != profile.phases[Phase.rst].client:
            yield f"{name} is not written: after a RST that is not exact close runs, and the session stays established"
    elif effects.rst_check is RstCheck.none:
        yield "not every RST is believed: an established session ends by one in sequence only"
    if effects.table_full is TableFull.scale_timers:
        yield "times are not shortened as the table fills: a full table evicts closing sessions, then drops new ones"
    if profile.caps:
        names = ", ".join(dict.fromkeys(cap.timer for cap in profile.caps))
        yield f"limits by {names} are written only where Linux has the same ones"
    if profile.options.get("per_direction"):
        yield "there is one clock, which either end's packets restart, not one for each direction"
    if _names(profile, Phase.fin1) != _names(profile, Phase.fin1_acked) and profile.timer_of(
        Phase.fin1
    ) == profile.timer_of(Phase.established):
        yield "any ACK of either end after the first FIN starts close_wait, not only the one that acknowledges it"


def _linux_opening(profile: Profile, timer: Timer) -> bool:
    """Return whether Linux counts an opening timer in the same way: a repeated SYN does not start it again."""
    return set(timer.phases) <= {Phase.syn_sent}


def _names(profile: Profile, phase: Phase) -> tuple[str, str]:
    pair = profile.phases[phase]
    return pair.client, pair.server
