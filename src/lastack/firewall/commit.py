"""The commit step: what a policy that can be used will do other than its author may think."""

from __future__ import annotations

from collections.abc import Iterator

from lastack.firewall.compile import resolved
from lastack.firewall.policy import Effective, Policy, effective
from lastack.firewall.problems import Problem, Severity
from lastack.firewall.profile import Profile
from lastack.firewall.text import duration_text
from lastack.firewall.words import Confidence, Mode, Phase


def commit_check(policy: Policy, profile: Profile) -> list[Problem]:
    """Return warnings and notes about a policy, in the order of its scopes.

    Args:
        policy: A policy without errors.
        profile: The profile that it configures.
    """
    profile = resolved(profile, policy)
    problems: list[Problem] = []
    for place in range(len(policy.overrides) + 1):
        problems += _scope(policy, profile, place)
    problems += _shadowed(policy)
    problems += _redundant(policy, profile)
    problems += _open_questions(policy, profile)
    return problems


def scope_path(place: int) -> str:
    """Return the key path of a scope's timers: `timers` or `override[2].timers`."""
    return f"override[{place}].timers" if place else "timers"


def scope_name(policy: Policy, place: int) -> str:
    """Return what people call a scope: `global`, or the application."""
    return policy.overrides[place - 1].application.name if place else "global"


def _warn(path: str, message: str, remedy: str = "") -> Problem:
    return Problem(Severity.warning, path, message, remedy)


def _scope(policy: Policy, profile: Profile, place: int) -> Iterator[Problem]:
    values = effective(profile, policy, place)
    own = policy.overrides[place - 1].timers if place else policy.timers
    for value in values.values():
        path = f"{scope_path(place)}.{value.timer.name}"
        touched = value.timer.name in own or value.clamped_by in own
        if value.clamped_by and touched:
            configured = duration_text(value.configured_ns)
            yield _warn(
                path,
                f"{configured} is accepted, but in effect it is {duration_text(value.ns)}: "
                f"{value.timer.name} never exceeds {value.clamped_by}",
                f"set {value.clamped_by} to {configured} or more if that is wanted",
            )
        elif value.timer.name in own and value.configured_ns != value.ns:
            yield _warn(
                path,
                f"{duration_text(value.configured_ns)} runs {duration_text(value.ns)}: {profile.title} computes it",
            )
        if value.timer.name in own and value.ns is None:
            yield _warn(path, "never ends: entries of sessions whose ends vanished stay for ever")
    yield from _longer_than_established(profile, values, place, own)


def _longer_than_established(
    profile: Profile, values: dict[str, Effective], place: int, own: object
) -> Iterator[Problem]:
    idle, half = profile.timer_of(Phase.established), profile.half_closed()
    if idle is None or half is None or idle.name == half.name:
        return
    long, short = values[half.name], values[idle.name]
    touched = isinstance(own, dict) and (half.name in own or idle.name in own)
    if touched and short.ns is not None and (long.ns is None or long.ns > short.ns):
        yield _warn(
            f"{scope_path(place)}.{half.name}",
            f"a half-closed session lives longer ({duration_text(long.ns)}) than an open one that is silent "
            f"({duration_text(short.ns)}, {idle.name})",
            f"raise {idle.name} too if such sessions are silent before they close",
        )


def _shadowed(policy: Policy) -> Iterator[Problem]:
    for later, override in enumerate(policy.overrides):
        for earlier in policy.overrides[:later]:
            if earlier.application.covers(override.application):
                yield _warn(
                    f"override[{later + 1}]",
                    f"never applies: {earlier.application.name} before it matches all of {override.application.name}",
                    "put it first, or leave it out",
                )
                break


def _redundant(policy: Policy, profile: Profile) -> Iterator[Problem]:
    base = effective(profile, policy)
    for place in range(1, len(policy.overrides) + 1):
        values = effective(profile, policy, place)
        if all(values[name].ns == base[name].ns for name in values):
            yield Problem(
                Severity.note,
                f"override[{place}]",
                f"changes nothing for {scope_name(policy, place)}: in effect its timers are the global ones",
            )


def _open_questions(policy: Policy, profile: Profile) -> Iterator[Problem]:
    """Say which open question a configured value hangs on, once each."""
    touched = set(policy.timers) | {name for override in policy.overrides for name in override.timers}
    for fork in profile.forks:
        if fork.name in policy.readings:
            continue
        names = _concerned(profile, [path for reading in fork.readings for path in reading.changes])
        if names & touched:
            answers = " or ".join(reading.name for reading in fork.readings)
            yield Problem(
                Severity.note,
                f"forks.{fork.name}",
                f"{fork.question} {answers}? {fork.assumed} is assumed for {', '.join(sorted(names & touched))}",
                "whatif runs both",
            )
    for name in sorted(touched):
        timer = profile.timers[name]
        if timer.confidence is Confidence.assumed:
            yield Problem(Severity.note, f"timers.{name}", f"is assumed: {timer.source}")
        if timer.mode is Mode.keep:
            yield Problem(
                Severity.note, f"timers.{name}", "leaves the running time as it is until a packet comes"
            )


def _concerned(profile: Profile, paths: list[str]) -> set[str]:
    """Return the timers that changes at key paths concern: named there, or running in a phase that is named."""
    names = set()
    for path in paths:
        table, _, rest = path.partition(".")
        if table == "timers":
            names.add(rest.partition(".")[0])
        elif table == "phases" and rest in list(Phase):
            pair = profile.phases.get(Phase(rest))
            names |= {pair.client, pair.server} if pair else set()
    return names
