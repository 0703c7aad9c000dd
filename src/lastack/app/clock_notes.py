"""What a person is told about the clocks of two sensors, and about packets that both saw."""

from __future__ import annotations

from lastack.store.manifest import ClockDifference

_WORTH_TELLING = 0.02  # of a sensor's packets seen by another


def clock_notes(clock: ClockDifference, *, dropped: bool) -> list[str]:
    """Return sentences on a pair of sensors.

    Args:
        clock: How their clocks differ.
        dropped: Packets that both saw were left out.
    """
    first, second, offset = clock.first, clock.second, _signed(clock.offset_ns)
    if clock.by == "handshakes":
        return [
            f"clocks: {second} is behind {first} by {_signed(-clock.offset_ns)[1:]} or more: {clock.packets} answers "
            f"come before their SYN, so packets are in the wrong order; correct it: "
            f"--clock-offset {second}={offset}"
        ]
    text = f"clocks: {second} is {offset} ± {_signed(clock.uncertainty_ns)[1:]} against {first}"
    if clock.by == "packets_one_way":
        text += ", the way between them included"
    text += f" ({clock.packets:,} packets seen by both)"
    if clock.drift_ppm is not None and clock.drift_error_ppm is not None:
        text += f", drifting {clock.drift_ppm:+.2f} ± {clock.drift_error_ppm:.2f} ppm"
    if clock.order_affected:
        text += f"; packets are in the wrong order; correct it: --clock-offset {second}={offset}"
    notes = [text] if clock.order_affected or abs(clock.offset_ns) > clock.uncertainty_ns else []
    if clock.shared >= _WORTH_TELLING and not dropped:
        notes.append(
            f"about {clock.shared:.0%} of the packets of {first} or {second} were seen by both and are counted twice; "
            "--drop-duplicates counts them once"
        )
    return notes


def _signed(ns: int) -> str:
    """Return a duration with its sign, as `--clock-offset` takes it."""
    for unit, size in (("s", 10**9), ("ms", 10**6), ("us", 10**3)):
        if abs(ns) >= size:
            return f"{ns / size:+.6g}{unit}"
    return f"{ns:+d}ns"
