"""Finds hidden timers on the paths of sessions: kind, length, idle or absolute, silence or RST, and where.

Places are looked at from the widest (all of them) to the narrowest (one client). A claim takes the deaths that it
explains with it, so that one timer is not told again for each server behind the same box.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lastack.replay.changepoint import FEWEST_DEATHS, Step, find_step
from lastack.replay.columns import NEVER
from lastack.replay.deaths import How, Kind

#: Death by a RST at expiry happens at the timer's end, not at some time after it: so near to each other.
_TIGHT = 0.03


@dataclass(frozen=True, slots=True)
class Sessions:
    """What sessions tell about one kind of timer (see `lastack.replay.deaths.Told`), and where they are.

    Attributes:
        session_id: Their ids.
        survived: Longest silence survived, in ns.
        killed: Deadly silence, `NEVER` for none.
        age_survived: Age of the phase at the last sign of life.
        age_killed: Age at the first packet that nobody answered.
        how: How they died.
        foreign: The RST is not from its alleged sender, by its TTL.
        places: For each kind of place, widest first, the place of each session as a number.
        names: For each kind of place the names of the numbers.
    """

    session_id: NDArray[np.uint64]
    survived: NDArray[np.int64]
    killed: NDArray[np.int64]
    age_survived: NDArray[np.int64]
    age_killed: NDArray[np.int64]
    how: NDArray[np.uint8]
    foreign: NDArray[np.bool_]
    places: Mapping[str, NDArray[np.int64]]
    names: Mapping[str, tuple[str, ...]]

    def take(self, which: NDArray[np.bool_]) -> Sessions:
        """Return some of them."""
        arrays = {
            name: getattr(self, name)[which]
            for name in Sessions.__dataclass_fields__
            if name not in ("places", "names")
        }
        return Sessions(**arrays, places={k: v[which] for k, v in self.places.items()}, names=self.names)


@dataclass(frozen=True, slots=True)
class Found:
    """One hidden timer, as far as the sessions show it.

    Attributes:
        kind: Which timer of a box it would be.
        mode: `idle`, `absolute` or `unknown`.
        step: The bound, and how many sessions stand behind it.
        expiry: `silent`, `rst_on_next`, `rst_at_expiry` or `mixed`.
        foreign: Share of the RSTs that are not from their alleged sender, by TTL.
        scope: Kind of place: `all`, `servers of a network`, ...
        place: The place.
        examples: Ids of sessions that died of it.
    """

    kind: Kind
    mode: str
    step: Step
    expiry: str
    foreign: float
    scope: str
    place: str
    examples: tuple[int, ...]

    @property
    def estimate_ns(self) -> int:
        """Best estimate of its length."""
        return self.step.estimate_ns


def find_timers(sessions: Sessions, kind: Kind) -> list[Found]:
    """Return the hidden timers that sessions show, those behind most deaths first.

    Args:
        sessions: What they tell about one kind of timer.
        kind: The kind.
    """
    claims = []
    looked = sum(len(names) for names in sessions.names.values())
    for scope, place, name in _places(sessions):
        here = sessions.places[scope] == place
        if np.count_nonzero(here & (sessions.killed != NEVER)) < FEWEST_DEATHS:
            continue
        part = sessions.take(here)
        found = _claim(part, kind, scope, name, looked)
        if found is not None:
            claims.append(found)
            dead, lengths = _measure(part, found.mode)
            explained = set(part.session_id[dead & (lengths >= found.step.killed_ns)].tolist())
            sessions = sessions.take(~np.isin(sessions.session_id, np.array(sorted(explained), np.uint64)))
    return sorted(claims, key=lambda claim: -claim.step.deaths)


def _places(sessions: Sessions) -> Iterator[tuple[str, int, str]]:
    for scope, names in sessions.names.items():
        yield from ((scope, number, name) for number, name in enumerate(names))


def _measure(part: Sessions, mode: str) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    lengths = part.age_killed if mode == "absolute" else part.killed
    return part.killed != NEVER, lengths


def _claim(part: Sessions, kind: Kind, scope: str, place: str, looked: int) -> Found | None:
    dead = part.killed != NEVER
    idle = find_step(part.survived[part.survived > 0], part.killed[dead], looked)
    age = find_step(part.age_survived[part.age_survived > 0], part.age_killed[dead], looked)
    mode, step = _mode(part, idle, age)
    if step is None:
        return None
    lengths = _measure(part, mode)[1]
    behind = np.flatnonzero(dead & (lengths >= step.killed_ns))
    expiry = _expiry(part.how[behind])
    if expiry == How.rst_at_expiry.name and not _tight(lengths[behind]):
        return None  # ends that reset each other whenever they like are no timer
    resets = part.how[behind] != How.silence
    foreign = float(part.foreign[behind][resets].mean()) if resets.any() else 0.0
    examples = tuple(part.session_id[behind][np.argsort(lengths[behind])][:5].tolist())
    return Found(kind, mode, step, expiry, foreign, scope, place, examples)


def _mode(part: Sessions, idle: Step | None, age: Step | None) -> tuple[str, Step | None]:
    """Return which of both explains the deaths, `unknown` when they say the same."""
    if idle is None or age is None:
        return ("idle", idle) if age is None else ("absolute", age)
    if abs(idle.log_likelihood - age.log_likelihood) < 3 and abs(idle.killed_ns / age.killed_ns - 1) < 0.05:
        return "unknown", idle
    return ("idle", idle) if idle.log_likelihood >= age.log_likelihood else ("absolute", age)


def _expiry(how: NDArray[np.uint8]) -> str:
    counts = np.bincount(how, minlength=len(How))
    most = int(counts.argmax())
    if counts[most] < 0.8 * counts.sum():
        return "mixed"
    return "silent" if most == How.silence else How(most).name


def _tight(lengths: NDArray[np.int64]) -> bool:
    low, middle, high = np.percentile(lengths, [10, 50, 90])
    return bool(high - low <= _TIGHT * middle)
