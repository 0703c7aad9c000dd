"""What a host does on its own when a connection ends: how long it waits in FIN-WAIT-2 and in TIME-WAIT.

A host profile (`engine = "host"`) is no box on the path. It says which end of a half-closed session gives up first,
and when a port is free again.
"""

from __future__ import annotations

from dataclasses import dataclass

from lastack.firewall.policy import Policy, effective
from lastack.firewall.profile import Profile, Timer
from lastack.firewall.words import Engine, Mode, OnExpiry, Phase
from lastack.model.errors import UsageError


@dataclass(frozen=True, slots=True)
class Wait:
    """One limit of an endpoint.

    Attributes:
        timer: Where it comes from.
        ns: How long it really waits, the product's formula applied.
        restarts: Whether segments that arrive start it again.
        resets: Whether the peer gets a RST at its end.
    """

    timer: Timer
    ns: int
    restarts: bool
    resets: bool


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How an endpoint ends its side.

    Attributes:
        name: Of the profile.
        after_close: Limit of FIN-WAIT-2 once the application has closed the socket; None for none known.
        after_shutdown: Limit of FIN-WAIT-2 when it has only shut down sending and still reads; None for none: a
            half-close lasts as long as both ends like, as RFC 9293 (3.6.1) has it.
        time_wait: TIME-WAIT; None when it is not known.
    """

    name: str
    after_close: Wait | None
    after_shutdown: Wait | None
    time_wait: Wait | None


def endpoint(profile: Profile, policy: Policy | None = None) -> Endpoint:
    """Return how a host ends its side.

    Args:
        profile: A host, its switches and readings turned.
        policy: What is configured on it.

    Raises:
        UsageError: The profile is not a host.
    """
    if profile.engine is not Engine.host:
        raise UsageError(f"{profile.name} is a {profile.kind}, not a host: its ends are other systems")
    waits = {}
    for name, value in effective(profile, policy).items():
        if value.ns is not None:
            timer = value.timer
            resets = timer.on_expiry in (OnExpiry.rst_one, OnExpiry.rst_both)
            waits[name] = Wait(timer, value.ns, timer.mode is Mode.idle, resets)
    half, closed = profile.half_closed(), profile.timer_of(Phase.closed)
    limit = waits.get(half.name) if half else None
    always = limit is not None and "app_shutdown_wr" in limit.timer.start
    return Endpoint(
        name=profile.name,
        after_close=limit,
        after_shutdown=limit if always else None,
        time_wait=waits.get(closed.name) if closed else None,
    )
