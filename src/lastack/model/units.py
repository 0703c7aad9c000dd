"""Times are integers of nanoseconds inside; this module is the only place that turns them into words and back."""

from __future__ import annotations

import re

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000

_TIME_UNITS_NS = {
    "ns": 1,
    "us": NS_PER_US,
    "µs": NS_PER_US,
    "ms": NS_PER_MS,
    "s": NS_PER_S,
    "m": 60 * NS_PER_S,
    "min": 60 * NS_PER_S,
    "h": 3600 * NS_PER_S,
    "d": 86_400 * NS_PER_S,
}
_SIZE_UNITS = {
    "B": 1,
    "kB": 10**3,
    "KB": 10**3,
    "MB": 10**6,
    "GB": 10**9,
    "TB": 10**12,
    "KiB": 2**10,
    "MiB": 2**20,
    "GiB": 2**30,
    "TiB": 2**40,
}
_PART = re.compile(r"(\d+(?:\.\d+)?)([a-zµ]+)")


def parse_duration_ns(text: str) -> int:
    """Return the nanoseconds that a duration such as `30s`, `1.5ms` or `2h4m` names.

    Raises:
        ValueError: The text is not one or more numbers, each with a unit (ns us ms s m h d).
    """
    total = 0.0
    position = 0
    for match in _PART.finditer(text):
        if match.start() != position or match.group(2) not in _TIME_UNITS_NS:
            break
        number, unit = match.groups()
        scale = _TIME_UNITS_NS[unit]
        total += int(number) * scale if number.isdigit() else float(number) * scale
        position = match.end()
    if position == 0 or position != len(text):
        raise ValueError(f"{text!r} is not a duration: give numbers with units, such as 30s, 250ms or 2h4m")
    return round(total)


def parse_size(text: str) -> int:
    """Return the bytes that a size such as `64KiB`, `10MB` or `1500` names.

    Raises:
        ValueError: The text is not a number with an optional unit (B kB MB GB TB KiB MiB GiB TiB).
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([A-Za-z]*)", text)
    if match is None or (match.group(2) and match.group(2) not in _SIZE_UNITS):
        raise ValueError(f"{text!r} is not a size: give a number with a unit, such as 1500B, 64KiB or 10MB")
    return round(float(match.group(1)) * _SIZE_UNITS.get(match.group(2), 1))


def format_duration(ns: int) -> str:
    """Return a duration in the largest unit that keeps three significant digits, such as `12.3 ms`."""
    sign, ns = ("-", -ns) if ns < 0 else ("", ns)
    if ns >= 3600 * NS_PER_S:
        hours, rest = divmod(ns // NS_PER_S, 3600)
        return (
            f"{sign}{hours} h {rest // 60} min" if hours < 48 else f"{sign}{ns / (86_400 * NS_PER_S):.1f} d"
        )
    if ns >= 60 * NS_PER_S:
        minutes, seconds = divmod(ns // NS_PER_S, 60)
        return f"{sign}{minutes} min {seconds} s"
    for unit, scale in (("s", NS_PER_S), ("ms", NS_PER_MS), ("µs", NS_PER_US)):
        if ns >= scale:
            return (
                f"{sign}{ns / scale:.3g} {unit}" if ns < 999.5 * scale else f"{sign}{ns / scale:.0f} {unit}"
            )
    return f"{sign}{ns} ns"


def format_size(count: float) -> str:
    """Return a number of bytes in the largest decimal unit, such as `1.23 MB`."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count:.0f} B"
