"""What one flow is to do: how much, how fast, which way, opened by whom, and how it ends.

The two ends are *near* (the program that runs the test) and *far* (the one that serves it). Who opens the connection,
who sends, and who closes are three questions; the plan answers each for itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import islice, product, zip_longest
from typing import Any

from lastack.model.errors import UsageError

#: How a flow ends.
CLOSES: dict[str, str] = {
    "half-close": "each end sends its FIN as soon as its own data is out, and goes on receiving",
    "when-finished": "each end sends its FIN only when all data of both directions has arrived",
    "rst": "when all data has arrived, the near end resets the connection",
}
DIRECTIONS = ("up", "down", "both")
OPENERS = ("near", "far")
_LARGEST = 1 << 50
_LONGEST_NS = 86_400 * 10**9


@dataclass(frozen=True, slots=True)
class FlowPlan:
    """One flow.

    Attributes:
        up_bytes: Payload from near to far.
        down_bytes: Payload from far to near.
        up_rate_bps: Bits a second of payload upwards, 0 for as fast as TCP goes.
        down_rate_bps: The same downwards.
        every_ns: A rate is sent in bursts this far apart, 0 for evenly (every 20 ms or so).
        close: One of `CLOSES`.
        opener: `near` or `far`: who connects.
        think_ns: The far end waits this long, after all of near's data has come, before it sends its own; -1: it does
            not wait for near's data at all.
        hold_ns: Silence between the end of the data and the last FIN, or the RST.
    """

    up_bytes: int = 0
    down_bytes: int = 0
    up_rate_bps: int = 0
    down_rate_bps: int = 0
    every_ns: int = 0
    close: str = "when-finished"
    opener: str = "near"
    think_ns: int = -1
    hold_ns: int = 0

    def __post_init__(self) -> None:
        if self.close not in CLOSES:
            raise UsageError(f"no way to close is called {self.close!r}; there are {', '.join(CLOSES)}")
        if self.opener not in OPENERS:
            raise UsageError(f"opener {self.opener!r}: choose {' or '.join(OPENERS)}")
        sizes = ("up_bytes", "down_bytes", "up_rate_bps", "down_rate_bps")
        for names, lowest, highest in (
            (sizes, 0, _LARGEST),
            (("every_ns", "hold_ns"), 0, _LONGEST_NS),
            (("think_ns",), -1, _LONGEST_NS),
        ):
            for name in names:
                value = getattr(self, name)
                if isinstance(value, bool) or not isinstance(value, int) or not lowest <= value <= highest:
                    raise UsageError(f"{name} = {value!r}: must be a whole number from {lowest} to {highest}")

    def longest_silence_ns(self) -> int:
        """Return how long a flow that is well may show no progress, transport left aside."""
        pace = self.every_ns if self.up_rate_bps or self.down_rate_bps else 0
        return max(pace, self.hold_ns, self.think_ns, 0)

    def to_json(self) -> dict[str, Any]:
        """Return the plan as the other end is told it."""
        return asdict(self)

    @classmethod
    def from_json(cls, told: Any) -> FlowPlan:
        """Return the plan that the other end told.

        Raises:
            UsageError: It is no plan.
        """
        try:
            return cls(**told)
        except TypeError as error:
            raise UsageError(f"not a plan of a flow: {error}") from error


def deal(
    count: int,
    *,
    sizes: Sequence[int] = (1_000_000,),
    reply_sizes: Sequence[int] = (),
    rates_bps: Sequence[int] = (0,),
    directions: Sequence[str] = ("down",),
    closes: Sequence[str] = ("when-finished",),
    **common: Any,
) -> list[FlowPlan]:
    """Return the plans of `count` flows; every combination of the lists gets its share, in turn.

    Args:
        count: How many flows.
        sizes: Bytes of each direction that a flow has.
        reply_sizes: Bytes downwards where they differ from those upwards (direction `both`); as `sizes` when empty.
        rates_bps: Bits a second, 0 for as fast as possible.
        directions: `up` (near sends), `down` (far sends), `both`.
        closes: Of `CLOSES`.
        **common: Further fields of `FlowPlan`, the same for all.

    Raises:
        UsageError: A value is out of range.
    """
    for direction in directions:
        if direction not in DIRECTIONS:
            raise UsageError(f"direction {direction!r}: choose {', '.join(DIRECTIONS)}")
    if count < 1:
        raise UsageError("at least one flow is needed")
    pairs = [(size, size) for size in sizes]
    if reply_sizes:
        last = (sizes[-1], reply_sizes[-1])
        pairs = [
            (last[0] if up is None else up, last[1] if down is None else down)
            for up, down in zip_longest(sizes, reply_sizes)
        ]
    kinds = [
        FlowPlan(
            up_bytes=up if direction != "down" else 0,
            down_bytes=down if direction != "up" else 0,
            up_rate_bps=rate if direction != "down" else 0,
            down_rate_bps=rate if direction != "up" else 0,
            close=close,
            **common,
        )
        for (up, down), rate, direction, close in product(pairs, rates_bps, directions, closes)
    ]
    return list(islice(_endlessly(kinds), count))


def _endlessly(kinds: list[FlowPlan]) -> Any:
    while True:
        yield from kinds
