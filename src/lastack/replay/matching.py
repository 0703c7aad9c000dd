"""Which known systems have a timer like the one that was found."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from lastack.firewall.profile import Profile, Timer
from lastack.firewall.words import Engine, Mode, OnExpiry, Phase
from lastack.replay.deaths import Kind
from lastack.replay.finder import Found

_PHASES = {
    Kind.half_closed: (Phase.fin1_acked, Phase.fin1),
    Kind.idle: (Phase.established,),
    Kind.embryonic: (Phase.syn_recv, Phase.syn_sent),
}
#: A default that is farther away than this share is another timer.
_NEAR = 0.05


@dataclass(frozen=True, slots=True)
class Match:
    """A profile whose default fits.

    Attributes:
        profile: Its name.
        title: For people.
        timer: Name of its timer.
        ns: Default of the timer.
        fits: What else fits: `mode`, `expiry`.
        score: Larger is better.
    """

    profile: str
    title: str
    timer: str
    ns: int
    fits: tuple[str, ...]
    score: float


def matches(found: Found, profiles: Iterable[Profile], most: int = 5) -> list[Match]:
    """Return the profiles whose default lies within the bound (and 5 % around it), best first.

    Args:
        found: The timer.
        profiles: Those known.
        most: Matches to return.
    """
    ranked = [match for profile in profiles if (match := _match(found, profile)) is not None]
    return sorted(ranked, key=lambda match: (-match.score, match.profile))[:most]


def _match(found: Found, profile: Profile) -> Match | None:
    if profile.engine is Engine.host:
        return None
    low, high = found.step.survived_ns * (1 - _NEAR), found.step.killed_ns * (1 + _NEAR)
    for phase in _PHASES[found.kind]:
        timer = profile.timer_of(phase)
        if timer is None or timer.ns is None or not low <= timer.ns <= high:
            continue
        fits = tuple(
            word
            for word, fit in (("mode", _same_mode(found, timer)), ("expiry", _same_expiry(found, timer)))
            if fit
        )
        near = 1 - abs(math.log(timer.ns / found.estimate_ns))
        return Match(profile.name, profile.title, timer.name, timer.ns, fits, near + len(fits))
    return None


def _same_mode(found: Found, timer: Timer) -> bool:
    absolute = timer.mode is Mode.absolute
    return found.mode == "unknown" or (found.mode == "absolute") == absolute


def _same_expiry(found: Found, timer: Timer) -> bool:
    at_expiry = timer.on_expiry in (OnExpiry.rst_both, OnExpiry.rst_one)
    if found.expiry == "rst_at_expiry":
        return at_expiry
    if found.expiry == "rst_on_next":
        return timer.on_expiry is OnExpiry.rst_on_next
    return found.expiry == "silent" and timer.on_expiry is OnExpiry.silent
