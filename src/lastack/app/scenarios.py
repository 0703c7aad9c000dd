"""Makes what-if scenarios of what a command line says: a profile or a policy file, settings, answers, a sweep."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lastack.app.boxes import BoxWords, configured_policy
from lastack.app.whatif import scenario, swept
from lastack.firewall.profile import Profile
from lastack.firewall.settings import parse_value, timers_of
from lastack.model.errors import UsageError
from lastack.replay.scenario import Scenario

#: Settings of a sweep when nothing is said.
STEPS = 25


def configured(
    profile: str | None = None,
    policy: str | None = None,
    sets: Sequence[str] = (),
    apps: Sequence[str] = (),
    forks: Sequence[str] = (),
    name: str = "",
    config: str | None = None,
) -> Scenario:
    """Return the box that a command line describes.

    Args:
        profile: Name or file of a profile; with a policy it may be left out.
        policy: File of a policy.
        sets: `NAME=VALUE` each, global.
        apps: `APP.NAME=VALUE` each.
        forks: `QUESTION=ANSWER` each.
        name: What tables call it.
        config: File of zones and applications that `apps` may name, None for the usual places.

    Raises:
        UsageError: Something of it means nothing.
        InputError: A file cannot be read.
    """
    words = BoxWords(profile, policy, tuple(sets), tuple(apps), tuple(forks), config)
    given, _ = configured_policy(words)
    return scenario(given.profile, given, name)


def parse_sweep(text: str, profile: Profile) -> tuple[str, list[int]]:
    """Return the timer and its values, from short to long, that a text such as `half_closed=5s..1h` names.

    `half_closed=5s..1h/50` takes 50 values in equal ratios, `half_closed=5s,30s,2m` these; without a range, from a
    tenth to ten times the default.

    Raises:
        UsageError: It names none.
    """
    name, equals, values = text.partition("=")
    name = name.strip()
    timers = timers_of(profile, name)
    if not equals:
        default = timers[0].ns
        if default is None:
            raise UsageError(f"--sweep {name}: it has no default to start from; give a range, {name}=5s..1h")
        return name, _ratios(max(default // 10, 10**9), default * 10, STEPS)
    if ".." in values:
        low, _, rest = values.partition("..")
        high, _, steps = rest.partition("/")
        count = _count(steps, text) if steps else STEPS
        ends = [parse_value(end.strip(), name) for end in (low, high)]
        if ends[0] is None or ends[1] is None or not 0 < ends[0] < ends[1]:
            raise UsageError(f"--sweep {text}: give a range from short to long, such as {name}=5s..1h")
        return name, _ratios(ends[0], ends[1], count)
    found = [parse_value(value.strip(), name) for value in values.split(",")]
    whole = sorted({value for value in found if value})
    if not whole:
        raise UsageError(
            f"--sweep {text}: give a range such as {name}=5s..1h, or values such as {name}=5s,30s"
        )
    return name, whole


def _count(text: str, whole: str) -> int:
    if not text.strip().isdigit() or not 2 <= int(text) <= 10_000:
        raise UsageError(f"--sweep {whole}: after the / comes a number of values from 2 to 10000")
    return int(text)


def _ratios(low: int, high: int, count: int) -> list[int]:
    values = np.geomspace(low, high, count)
    # Rounded to what people would type: a tenth of a second below a minute, whole seconds above.
    steps = np.where(values < 60e9, 10**8, 10**9)
    rounded = np.rint(values / steps).astype(np.int64) * steps
    rounded[0], rounded[-1] = low, high
    return sorted({int(value) for value in rounded})


def sweep_of(base: Scenario, text: str) -> Scenario:
    """Return a scenario swept as a text says.

    Raises:
        UsageError: It names no timer or no values.
    """
    name, values = parse_sweep(text, base.profile)
    return swept(base, name, values)
