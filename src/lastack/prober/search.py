"""The search for a timer from outside: which waits to try, and between which two waits the path begins to break.

Waits are spread in a geometric row and tried all at once, so that a timer is known soon after it has passed. A second
row, evenly spread between the longest wait that was kept and the shortest that was not, makes the bound narrow. Waits
whose outcome does not fit their neighbours' are tried again (loss is no timer), and the majority counts.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise

#: A wait is tried at most so often when its outcomes contradict its neighbours'.
MAX_TRIES = 3
#: Broken waits beyond the bound after which longer ones teach nothing.
WITNESSES = 3


@dataclass(frozen=True, slots=True)
class Bound:
    """Between which waits a path begins to break, in ns.

    Attributes:
        kept_ns: Longest wait that was kept below every broken one; None if the shortest broke.
        broken_ns: Shortest wait that broke; None if none did.
        kept: Samples that were kept.
        broken: Samples that broke.
        doubtful: Samples on the wrong side of the bound.
    """

    kept_ns: int | None
    broken_ns: int | None
    kept: int
    broken: int
    doubtful: int

    @property
    def width_ns(self) -> int | None:
        """Distance of the two; None unless both are known."""
        if self.kept_ns is None or self.broken_ns is None:
            return None
        return self.broken_ns - self.kept_ns


@dataclass(slots=True)
class _Try:
    """The outcomes of one nominal wait."""

    measured: list[tuple[int, bool]] = field(default_factory=list)
    started: int = 0
    bad: int = 0

    @property
    def kept(self) -> bool:
        good = sum(kept for _, kept in self.measured)
        return good * 2 > len(self.measured)

    @property
    def split(self) -> bool:
        return 0 < sum(kept for _, kept in self.measured) < len(self.measured)

    @property
    def waited_ns(self) -> int:
        mine = [waited for waited, kept in self.measured if kept == self.kept]
        return max(mine) if self.kept else min(mine)


class Search:
    """Looks for the wait from which on a path is broken.

    Args:
        shortest_ns: First wait of the row.
        longest_ns: Last wait of the row.
        coarse: Waits in the first row.
        fine: Waits in a later row; 0 leaves them out.
        target_ns: Width of the bound that is good enough.
        target_share: The same, as a share of the wait.
    """

    def __init__(
        self,
        shortest_ns: int,
        longest_ns: int,
        coarse: int,
        fine: int = 80,
        target_ns: int = 10_000_000,
        target_share: float = 0.002,
    ) -> None:
        self._tries: dict[int, _Try] = {}
        self._queue = geometric(shortest_ns, longest_ns, coarse)
        self._bound: Bound | None = None  # until the next sample
        self._useless_from_ns: int | None = None
        self._fine = fine
        self._rounds = 0
        self._target_ns = target_ns
        self._target_share = target_share
        self.shortest_ns = shortest_ns
        self.longest_ns = longest_ns

    def take(self) -> list[int]:
        """Return the waits to try now, longest first; each is to be answered by `offer` or `skip`."""
        queue, self._queue = sorted(self._queue, reverse=True), []
        for wait in queue:
            self._tries.setdefault(wait, _Try()).started += 1
        return queue

    def densify(self, count: int, below_ns: int) -> None:
        """Queue waits half-way between the longest that were given out, while nothing has broken yet.

        Args:
            count: How many, at most.
            below_ns: Longer ones are left out: they would make the test longer.
        """
        if self.bound().broken_ns is None:
            row = [wait for wait in sorted(self._tries) if wait <= below_ns]
            between = [round(math.sqrt(low * high)) for low, high in pairwise(row)]
            self._queue += between[-count:] if count > 0 else []

    def offer(self, wait_ns: int, waited_ns: int, *, kept: bool) -> None:
        """Take the outcome of a wait.

        Args:
            wait_ns: The wait as `take` gave it.
            waited_ns: The silence as it was measured.
            kept: Whether the path still worked.
        """
        self._tries.setdefault(wait_ns, _Try(started=1)).measured.append((waited_ns, kept))
        self._bound = None

    def correct(self, wait_ns: int, waited_ns: int) -> None:
        """Take back a wait's good outcome: its data was acknowledged, but never arrived."""
        one = self._tries[wait_ns]
        one.measured = [(waited, kept and waited != waited_ns) for waited, kept in one.measured]
        self._bound = None

    def skip(self, wait_ns: int) -> bool:
        """Take a sample that proves nothing; return whether it will be tried again."""
        one = self._tries[wait_ns]
        one.bad += 1
        if one.started < MAX_TRIES + 1 and not self.useless(wait_ns):
            self._queue.append(wait_ns)
            return True
        return False

    def drop(self, wait_ns: int) -> None:
        """Take back a wait that was not tried to its end."""
        one = self._tries.get(wait_ns)
        if one is not None:
            one.started -= 1

    def useless(self, wait_ns: int) -> bool:
        """Return whether a wait lies so far beyond broken ones that its outcome teaches nothing."""
        self.bound()
        return self._useless_from_ns is not None and wait_ns > self._useless_from_ns

    @property
    def pending(self) -> int:
        """Number of waits given out and not answered, or queued."""
        out = sum(one.started - len(one.measured) - one.bad for one in self._tries.values())
        return out + len(self._queue)

    def bound(self) -> Bound:
        """Return the bound that the fewest samples contradict."""
        if self._bound is None:
            self._bound = self._find_bound()
            kept_ns = self._bound.kept_ns or 0
            # the witnesses must lie above the bound themselves: a lost packet far below it is none
            above = sorted(
                one.waited_ns
                for one in self._tries.values()
                if one.measured and not one.kept and one.waited_ns > kept_ns
            )
            self._useless_from_ns = above[WITNESSES - 1] if len(above) >= WITNESSES else None
        return self._bound

    def _find_bound(self) -> Bound:
        rows = sorted((one.waited_ns, one.kept) for one in self._tries.values() if one.measured)
        total_kept = sum(kept for _, kept in rows)
        best, cut, wrong = len(rows) + 1, 0, 0
        below_broken, above_kept = 0, total_kept
        for index in range(len(rows) + 1):
            if index:
                kept = rows[index - 1][1]
                below_broken += not kept
                above_kept -= kept
            wrong = below_broken + above_kept
            if wrong < best:
                best, cut = wrong, index
        kept_below = [waited for waited, kept in rows[:cut] if kept]
        broken_above = [waited for waited, kept in rows[cut:] if not kept]
        return Bound(
            kept_ns=kept_below[-1] if kept_below else None,
            broken_ns=broken_above[0] if broken_above else None,
            kept=total_kept,
            broken=len(rows) - total_kept,
            doubtful=best if rows else 0,
        )

    def advance(self, budget_ns: int | None = None) -> bool:
        """Queue what is worth trying once nothing is pending; return whether there is anything.

        Args:
            budget_ns: Time that is left for waits; None has no end.
        """
        if self._queue:
            return True
        bound = self.bound()
        again = self._contradictions(bound)
        wanted = [wait for wait in again if budget_ns is None or wait <= budget_ns]
        if not wanted and self._rounds < 2 and self._fine:
            wanted = [wait for wait in self._between(bound) if budget_ns is None or wait <= budget_ns]
            self._rounds += bool(wanted)
        self._queue.extend(wanted)
        return bool(wanted)

    def _contradictions(self, bound: Bound) -> list[int]:
        """Return the waits whose outcome does not fit, and that may be tried again."""
        return [
            wait
            for wait, one in self._tries.items()
            if one.measured
            and one.started < MAX_TRIES
            and (
                one.split
                or (one.kept and bound.broken_ns is not None and one.waited_ns >= bound.broken_ns)
                or (not one.kept and bound.kept_ns is not None and one.waited_ns <= bound.kept_ns)
            )
        ]

    def _between(self, bound: Bound) -> Iterable[int]:
        """Return waits that narrow the bound."""
        if bound.broken_ns is None:
            return []
        low = bound.kept_ns or 0
        width = bound.broken_ns - low
        if width <= max(self._target_ns, int(self._target_share * bound.broken_ns)):
            return []
        known = sorted(self._tries)
        step = width / (self._fine + 1)
        waits = [low + round(step * (n + 1)) for n in range(self._fine)]
        return [w for w in waits if known[min(bisect_left(known, w), len(known) - 1)] != w]


def geometric(shortest_ns: int, longest_ns: int, n: int) -> list[int]:
    """Return n waits in a geometric row, both ends included."""
    if n <= 1 or longest_ns <= shortest_ns:
        return [longest_ns]
    ratio = math.log(longest_ns / shortest_ns) / (n - 1)
    return sorted({round(shortest_ns * math.exp(ratio * index)) for index in range(n)})
