"""Finds the length above which silences (or ages) are deadly: a step from "nearly all live" to "all die".

A session tells two things: lengths it survived and, if it died, the length that it did not. That is a threshold model
on data censored at both ends: the likelihood of a threshold T is a product of Bernoulli terms, and T is where it is
largest (D. V. Hinkley, "Inference about the change-point in a sequence of random variables", Biometrika 57, 1970).
A threshold is claimed only when so many deaths in a row would be a wonder without it: the binomial tail under three
times the death rate just below it (a hazard that only grows with length is allowed for) stays below `WONDER`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Deaths that a claim needs at least.
FEWEST_DEATHS = 5
#: Highest probability, over all places that were looked at, that a claim comes about without a timer.
WONDER = 1e-6
#: A box may let a few long ones live (a reload, another path); a threshold expects no more than this share.
_LIVES_ABOVE = 1e-3
#: Observations below the threshold from which the death rate without a timer is taken.
_NEIGHBOURS = 300
#: Share of those above the threshold that may live nevertheless.
_MOST_SURVIVORS = 0.02


@dataclass(frozen=True, slots=True)
class Step:
    """A threshold that the data show.

    Attributes:
        survived_ns: Longest that was survived below it.
        killed_ns: Shortest that killed: an upper bound of the threshold.
        second_ns: The next shortest that killed.
        deaths: Deaths at or above it.
        survivors: Lengths at or above it that were survived nevertheless.
        below: Observations just below it, and how many of them died.
        deaths_below: Of those.
        log_likelihood: Against no threshold; larger is better.
        chance: Probability of so many deaths without one.
    """

    survived_ns: int
    killed_ns: int
    second_ns: int
    deaths: int
    survivors: int
    below: int
    deaths_below: int
    log_likelihood: float
    chance: float

    @property
    def estimate_ns(self) -> int:
        """Best estimate: the middle of the bound, or, where nothing was survived near it, from the two shortest deaths.

        2 x1 - x2 is the estimator of a truncation point of D. S. Robson and J. H. Whitlock (Biometrika 51, 1964).
        """
        if self.survived_ns > 0.8 * self.killed_ns:
            return (self.survived_ns + self.killed_ns) // 2
        return max(self.survived_ns, 2 * self.killed_ns - self.second_ns)


def find_step(survived: NDArray[np.int64], killed: NDArray[np.int64], places: int = 1) -> Step | None:
    """Return the threshold above which nearly nothing lives, or None when the data do not show one.

    Args:
        survived: Lengths that were survived, in ns; one for each session that survived any.
        killed: Lengths that were not.
        places: How many places (servers, networks) were looked at, which makes wonders likelier.
    """
    if len(killed) < FEWEST_DEATHS:
        return None
    lengths = np.concatenate([survived, killed])
    dead = np.concatenate([np.zeros(len(survived), np.bool_), np.ones(len(killed), np.bool_)])
    # On a tie the death comes first: a length that killed is at the threshold, one that was survived is below it.
    order = np.lexsort((~dead, lengths))
    lengths, dead = lengths[order], dead[order]
    above_dead = np.cumsum(dead[::-1])[::-1]
    above = np.arange(len(dead), 0, -1)
    below_dead, below = len(killed) - above_dead, len(dead) - above
    rate = (below_dead + 1.0) / (below + 2.0)
    gain = above_dead * math.log(1 - _LIVES_ABOVE) + (above - above_dead) * math.log(_LIVES_ABOVE)
    gain += below_dead * np.log(rate) + (below - below_dead) * np.log1p(-rate)
    gain[~dead] = -np.inf
    at = int(np.argmax(gain))
    deaths, survivors = int(above_dead[at]), int(above[at] - above_dead[at])
    if deaths < FEWEST_DEATHS or survivors > _MOST_SURVIVORS * above[at]:
        return None
    chance = places * _chance(lengths, dead, at, deaths, survivors)
    if chance > WONDER:
        return None
    lived = lengths[:at][~dead[:at]]
    overall = len(killed) / len(dead)
    plain = len(killed) * math.log(overall) + len(survived) * math.log(max(1 - overall, 1e-9))
    first = max(0, at - _NEIGHBOURS)
    return Step(
        int(lived.max()) if len(lived) else 0,
        int(lengths[at]),
        int(lengths[at:][dead[at:]][:2].max()),
        deaths,
        survivors,
        at - first,
        int(dead[first:at].sum()),
        float(gain[at]) - plain,
        chance,
    )


def _chance(
    lengths: NDArray[np.int64], dead: NDArray[np.bool_], at: int, deaths: int, survivors: int
) -> float:
    """Return the probability of so many deaths above a place if the death rate below it only rose with length."""
    first = max(0, at - _NEIGHBOURS)
    count, died = at - first, int(dead[first:at].sum())
    if count == 0:
        return 1.0
    # The rate's upper bound at 95 %, by the rule of three for no deaths and a normal margin for some.
    upper = (died + 3.0 + 1.65 * math.sqrt(died)) / count
    # A constant hazard kills in proportion to length.
    longer = float(lengths[at:].mean() / max(1.0, lengths[first:at].mean()))
    rate = min(1.0, upper * max(1.0, longer) * 1.5)
    return _binomial_tail(deaths + survivors, deaths, rate)


def _binomial_tail(trials: int, least: int, rate: float) -> float:
    """Return the probability of at least so many hits."""
    if rate >= 1.0:
        return 1.0
    total = 0.0
    for hits in range(least, trials + 1):
        log = (
            math.lgamma(trials + 1) - math.lgamma(hits + 1) - math.lgamma(trials - hits + 1)
            + hits * math.log(rate) + (trials - hits) * math.log1p(-rate)
        )  # fmt: skip
        total += math.exp(log)
        if total > 1.0:
            return 1.0
    return total
