"""Simulated sessions whose path has a hidden timer, or none: silences by a law, deaths by the box or by bad luck."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lastack.replay.columns import NEVER
from lastack.replay.deaths import How
from lastack.replay.finder import Sessions

S = 10**9
Law = Callable[[np.random.Generator, int], NDArray[np.float64]]


def people(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Return pauses of people, in seconds: log-normal, most around a minute, some of hours."""
    return rng.lognormal(np.log(60), 1.5, count)


def machines(rng: np.random.Generator, count: int) -> NDArray[np.float64]:
    """Return pauses of programs: exponential around 100 s."""
    return rng.exponential(100, count)


def sessions(
    survived: NDArray[np.float64],
    killed: NDArray[np.float64],
    age_survived: NDArray[np.float64],
    age_killed: NDArray[np.float64],
    how: NDArray[np.int64],
) -> Sessions:
    """Return what sessions tell, from seconds; infinite for what did not happen."""
    n = len(survived)

    def ns(seconds: NDArray[np.float64]) -> NDArray[np.int64]:
        known = np.isfinite(seconds)
        found = np.full(n, NEVER, np.int64)
        found[known] = (seconds[known] * S).astype(np.int64)
        return found

    return Sessions(
        np.arange(1, n + 1, dtype=np.uint64), ns(survived), ns(killed), ns(age_survived), ns(age_killed),
        how.astype(np.uint8), np.zeros(n, np.bool_), {"all": np.zeros(n, np.int64)}, {"all": ("every path",)},
    )  # fmt: skip


def behind_an_idle_timer(seed: int, timer_s: float, healthy: int, dead: int, law: Law) -> Sessions:
    """Return sessions that an idle timer kills at their first pause that is too long."""
    rng = np.random.default_rng(seed)
    rows = []
    left = {True: dead, False: healthy}
    while any(left.values()):
        pauses = law(rng, int(rng.integers(1, 6)))
        deadly = np.flatnonzero(pauses >= timer_s)
        dies = len(deadly) > 0
        if not left[dies]:
            continue
        left[dies] -= 1
        lived = pauses[: deadly[0]] if dies else pauses
        age = float(lived.sum() + rng.exponential(5))
        longest = float(lived.max()) if len(lived) else 0.0
        last = float(pauses[deadly[0]]) if dies else np.inf
        rows.append((longest, last, age, age + last, How.silence if dies else How.alive))
    return sessions(*(np.array(column) for column in zip(*rows, strict=True)))


def behind_an_absolute_timer(seed: int, timer_s: float, healthy: int, dead: int) -> Sessions:
    """Return half-closed sessions that a timer kills at an age, while data flows."""
    rng = np.random.default_rng(seed)
    lasts = rng.lognormal(np.log(timer_s / 8), 1.2, 40 * (healthy + dead))
    short, long = lasts[lasts < timer_s][:healthy], lasts[lasts >= timer_s][:dead]
    n = len(short) + len(long)
    dies = np.arange(n) >= len(short)
    pause = 1 + rng.exponential(1.5, n)
    age = np.concatenate([short, np.full(len(long), timer_s) - rng.random(len(long)) * pause[dies]])
    how = np.where(dies, How.silence, How.alive)
    killed, age_killed = np.where(dies, pause, np.inf), np.where(dies, age + pause, np.inf)
    return sessions(np.where(dies, 0, np.minimum(pause, age)), killed, age, age_killed, how)


def unlucky(seed: int, count: int, law: Law, how: How = How.silence, share: float = 0.03) -> Sessions:
    """Return sessions without a timer on the path, some of which die after a pause of any length."""
    rng = np.random.default_rng(seed)
    survived, age = law(rng, count), law(rng, count) * 3
    dies = rng.random(count) < share
    killed = np.where(dies, law(rng, count), np.inf)
    return sessions(survived, killed, age, age + killed, np.where(dies, how, How.alive))


def worn_out(seed: int, count: int, law: Law, mean_life_s: float) -> Sessions:
    """Return sessions whose hosts crash at a constant rate: the longer a pause, the likelier it is the last."""
    rng = np.random.default_rng(seed)
    pause, age = law(rng, count), law(rng, count) * 3
    dies = rng.random(count) < 1 - np.exp(-pause / mean_life_s)
    killed = np.where(dies, pause, np.inf)
    return sessions(
        np.where(dies, 0, pause), killed, age, age + killed, np.where(dies, How.silence, How.alive)
    )


def kept_alive(seed: int, count: int, every_s: float = 60.0, share: float = 0.03) -> Sessions:
    """Return idle sessions with keepalives, some of whose hosts are gone: no pause is longer than the keepalive's."""
    rng = np.random.default_rng(seed)
    pause = every_s + rng.exponential(0.05, count)
    dies = rng.random(count) < share
    age = rng.exponential(3600, count)
    killed = np.where(dies, every_s + rng.exponential(0.05, count), np.inf)
    return sessions(pause, killed, age, age + killed, np.where(dies, How.silence, How.alive))
