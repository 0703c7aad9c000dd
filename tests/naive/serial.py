"""Sequence numbers modulo 2³², and sets of positions kept as sorted disjoint ranges."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

MOD = 1 << 32
HALF = 1 << 31


def less(a: int, b: int) -> bool:
    """Return whether a < b in serial arithmetic."""
    return 1 <= (b - a) % MOD <= HALF - 1


def distance(a: int, b: int) -> int:
    """Return a − b as a signed number, −2³¹ … 2³¹−1."""
    return (a - b + HALF) % MOD - HALF


def within(x: int, low: int, high: int) -> bool:
    """Return whether x lies in [low, high], walking upwards from low."""
    return (x - low) % MOD <= (high - low) % MOD


class Ranges:
    """A set of integers, held as sorted disjoint half-open ranges."""

    def __init__(self) -> None:
        self.lows: list[int] = []
        self.highs: list[int] = []

    def __bool__(self) -> bool:
        return bool(self.lows)

    def holds(self, low: int, high: int) -> bool:
        """Return whether all of [low, high) is in the set."""
        i = bisect_right(self.lows, low) - 1
        return low >= high or (i >= 0 and self.highs[i] >= high)

    def add(self, low: int, high: int) -> int:
        """Add [low, high) and return how many of its members are new."""
        if low >= high:
            return 0
        first = bisect_left(self.highs, low)
        last = bisect_right(self.lows, high)
        known = sum(max(0, min(high, self.highs[i]) - max(low, self.lows[i])) for i in range(first, last))
        if first < last:
            new_low, new_high = min(low, self.lows[first]), max(high, self.highs[last - 1])
        else:
            new_low, new_high = low, high
        self.lows[first:last] = [new_low]
        self.highs[first:last] = [new_high]
        return high - low - known

    def size(self) -> int:
        """Return the number of members."""
        return sum(high - low for low, high in zip(self.lows, self.highs, strict=True))
