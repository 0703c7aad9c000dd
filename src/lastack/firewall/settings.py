"""Finds the timers that people mean: `half_closed=30s`, `ssh.half_closed=1h`, in any vendor's words.

A name is, in this order: a timer of the profile (`tcp_wait`), the product's own word for one
(`timeout-tcpwait`, `nf_conntrack_tcp_timeout_close_wait`), or a role that every box has (`half_closed`). A role is
refused where another role's timer runs: where nothing ends a half-closed session but the established timer, there is
no `half_closed` to set.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from lastack.firewall.application import WELL_KNOWN, Application, parse_ports
from lastack.firewall.document import LONGEST_NS
from lastack.firewall.policy import Override, Policy
from lastack.firewall.problems import near
from lastack.firewall.profile import Profile, Timer
from lastack.firewall.schema import turned
from lastack.firewall.schema_timers import range_text
from lastack.firewall.text import duration_text
from lastack.firewall.words import Phase
from lastack.model.errors import UsageError
from lastack.model.units import parse_duration_ns

#: What every box has, by the phases in which it shows; other words for it.
ROLES: Mapping[str, tuple[tuple[Phase, ...], tuple[str, ...]]] = {
    "embryonic": (
        (Phase.syn_sent, Phase.syn_recv),
        ("opening", "half_open", "halfopen", "handshake", "initial", "syn"),
    ),
    "established": ((Phase.established,), ("idle", "tcp", "conn", "session", "timeout")),
    "half_closed": (
        (Phase.fin1, Phase.fin1_acked),
        ("half_close", "halfclosed", "halfclose", "tcp_half_closed", "tcp_wait"),
    ),
    "time_wait": ((Phase.fin2, Phase.closed), ("timewait", "tcp_time_wait", "closed", "closing")),
    "rst": ((Phase.rst,), ("reset", "after_rst")),
    "unverified_rst": ((Phase.rst_unverified,), ()),
}
_ROLE_OF = {word: role for role, (_, words) in ROLES.items() for word in (role, *words)}
#: A role must not reach into the timers of these, which come before it in a session's life.
_EARLIER = {
    "embryonic": ("established",),
    "half_closed": ("established",),
    "time_wait": ("half_closed", "established"),
    "rst": ("time_wait", "half_closed", "established"),
    "unverified_rst": ("rst", "time_wait", "half_closed", "established"),
}
_ON = {"on": True, "yes": True, "true": True, "off": False, "no": False, "false": False}


def plain(word: str) -> str:
    """Return a name as it is compared: lower case, `_` for anything between words."""
    return re.sub(r"[^a-z0-9]+", "_", word.casefold()).strip("_")


def timers_of(profile: Profile, word: str) -> tuple[Timer, ...]:
    """Return the timers that a name means on a system.

    Raises:
        UsageError: It means none, or would change other things too; the message says what there is.
    """
    wanted = plain(word)
    for name, timer in profile.timers.items():
        if wanted == plain(name) or wanted in _vendor_words(timer):
            return (timer,)
    role = _ROLE_OF.get(wanted)
    if role is None:
        known = [*profile.timers, *ROLES]
        raise UsageError(f"{profile.name} has no timer {word!r}: {near(wanted, known)}")
    names = _names(profile, role)
    if not names:
        raise UsageError(f"{profile.name} has no timer for {_said(role)}: it has {', '.join(profile.timers)}")
    for earlier in _EARLIER.get(role, ()):
        shared = [name for name in names if name in _names(profile, earlier)]
        if shared and set(shared) == set(names):
            raise UsageError(
                f"{profile.name} has no {_said(role)} timer of its own: {shared[0]}, its {_said(earlier)} timer, runs "
                f"there; set {shared[0]} if that is meant"
            )
        names = tuple(name for name in names if name not in shared)
    found = [profile.timers[name] for name in names]
    # A role is what can be set of it: FortiGate's LAST_ACK is fixed, its TIME_WAIT is not.
    return tuple([timer for timer in found if timer.scopes] or found)


def check_value(profile: Profile, timer: Timer, ns: int | None, scope: str) -> str:
    """Return why a timer cannot be set to a value in a scope, empty if it can.

    Args:
        profile: The system.
        timer: Its timer.
        ns: The value, None for never.
        scope: `global` or `app`.
    """
    if scope not in timer.scopes:
        if not timer.scopes:
            return f"{timer.name} cannot be configured on {profile.title}; it is {duration_text(timer.ns)}"
        return f"{timer.name} is global on {profile.title}: it has no value for one application"
    low, high = timer.minimum_ns, timer.maximum_ns
    if ns == 0 and timer.zero_is_never:
        return ""
    if ns is None:
        never = timer.zero_is_never or timer.ns is None or (low is None and high is None)
        return "" if never else f"never is not a value of {timer.name}: its range is {range_text(timer)}"
    if (low is not None and ns < low) or (high is not None and ns > high):
        return f"{duration_text(ns)} is outside of the range of {timer.name}, {range_text(timer)}"
    return ""


def with_settings(
    policy: Policy,
    profile: Profile,
    sets: Sequence[str] = (),
    apps: Sequence[str] = (),
    applications: Mapping[str, Application] | None = None,
    *,
    ranges: bool = True,
) -> Policy:
    """Return a policy with what a command line says on top.

    Args:
        policy: What it starts from.
        profile: The system.
        sets: `NAME=VALUE` each: a timer and a duration (or `never`), a switch and `on` or `off`, `table_size` and
            a number.
        apps: `APP.NAME=VALUE` each: APP is a named application, a service such as ssh, or ports such as `8000-8100`.
            They come before the overrides of the policy.
        applications: More applications by name than those of the policy.
        ranges: Refuse what the product would not accept; a sweep, or a box that is no product, may go beyond, and
            may set for one application what the product has for all.

    Raises:
        UsageError: Something of it means nothing, or is out of range.
    """
    switches, size, rest = dict(policy.switches), policy.table_size, []
    for text in sets:
        name, value = _halves(text, "--set half_closed=30s")
        if plain(name) == "table_size":
            size = _table_size(value)
        elif plain(name) in {switch.name for switch in profile.switches}:
            switches[plain(name)] = _position(name, value)
        else:
            rest.append((name, value))
    # A switch can decide which timer a role is: apply-to-half-close-state makes time_wait the half-closed one.
    profile = turned(profile, {**profile.readings, **policy.readings}, switches)
    timers = dict(policy.timers)
    for name, value in rest:
        timers.update(_assigned(profile, name, value, "global", ranges))
    new: dict[str, tuple[Application, dict[str, int | None]]] = {}
    for text in apps:
        head, value = _halves(text, "--app ssh.half_closed=1h")
        app, dot, name = head.rpartition(".")
        if not dot or not app:
            raise UsageError(
                f"--app {text}: name an application and a timer, such as --app ssh.half_closed=1h"
            )
        application = named_application(app, {**(applications or {}), **policy.applications})
        values = new.setdefault(app, (application, {}))[1]
        values.update(_assigned(profile, name, value, "app", ranges))
    added = tuple(Override(application, values) for application, values in new.values())
    return replace(
        policy, timers=timers, switches=switches, table_size=size, overrides=(*added, *policy.overrides)
    )


def named_application(name: str, applications: Mapping[str, Application]) -> Application:
    """Return the application that a name, a service or a range of ports means.

    Raises:
        UsageError: It means none.
    """
    if name in applications:
        return applications[name]
    if name.casefold() in WELL_KNOWN:
        port = WELL_KNOWN[name.casefold()]
        return Application(name, ((port, port),))
    if name[:1].isdigit():
        try:
            return Application(name, parse_ports(name))
        except ValueError as reason:
            raise UsageError(f"--app {name}: {reason}") from None
    hint = near(name, [*applications, *WELL_KNOWN])
    raise UsageError(f"no application is called {name!r}: {hint} Or give its ports, such as 8000-8100")


def _assigned(profile: Profile, name: str, value: str, scope: str, ranges: bool) -> dict[str, int | None]:
    ns = parse_value(value, name)
    found = timers_of(profile, name)
    for timer in found:
        why = check_value(profile, timer, ns, scope)
        if why and (ranges or not timer.scopes):
            raise UsageError(f"{name}={value}: {why}")
    return {timer.name: ns for timer in found}


def parse_value(text: str, name: str) -> int | None:
    """Return the nanoseconds of a duration, None for `never`.

    Raises:
        UsageError: It is neither.
    """
    if text.casefold() == "never":
        return None
    try:
        ns = parse_duration_ns(text)
    except (ValueError, OverflowError) as reason:
        raise UsageError(f"{name}: {reason}") from None
    if ns >= LONGEST_NS:
        raise UsageError(f"{name}: {text} is longer than 146 years; write never for no limit")
    return ns


def _names(profile: Profile, role: str) -> tuple[str, ...]:
    pairs = [profile.phases[phase] for phase in ROLES[role][0] if phase in profile.phases]
    return tuple(dict.fromkeys(name for pair in pairs for name in (pair.client, pair.server)))


def _vendor_words(timer: Timer) -> set[str]:
    """Return what a timer's vendor name may be called: all of it, its parts between slashes, the words in brackets."""
    parts = [timer.vendor_name, *re.findall(r"\(([^)]*)\)", timer.vendor_name)]
    parts += re.sub(r"\([^)]*\)", "", timer.vendor_name).split(" / ")
    words = {plain(part) for part in parts}
    # sysctls and flags are also known by their last word
    return words | {word.rpartition("timeout_")[2] for word in words if "_tcp_timeout_" in word}


def _halves(text: str, example: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip() or not value.strip():
        raise UsageError(f"{text!r} is not NAME=VALUE, such as {example}")
    return name.strip(), value.strip()


def _position(name: str, value: str) -> bool:
    if value.casefold() not in _ON:
        raise UsageError(f"{name}={value}: a switch is on or off")
    return _ON[value.casefold()]


def _table_size(value: str) -> int:
    if not value.replace("_", "").isdigit():
        raise UsageError(f"table_size={value}: give a whole number, 0 for no limit")
    return int(value)


def _said(role: str) -> str:
    return role.replace("_", " ")
