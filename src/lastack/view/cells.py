"""Values of the session record as people read them: durations in words, sizes in units, ends as address:port."""

from __future__ import annotations

import datetime
from typing import Any

from lastack.model.address import format_address
from lastack.model.fields import BY_NAME, Field
from lastack.model.units import NS_PER_S, format_duration, format_size

#: What a person sees where a value is not known.
UNKNOWN = "-"
_EPOCH = datetime.datetime(1970, 1, 1)


def endpoint(address: bytes, port: int) -> str:
    """Return `10.0.0.1:443` or `[2001:db8::1]:443`."""
    text = format_address(address)
    return f"[{text}]:{port}" if ":" in text else f"{text}:{port}"


def instant(ns: int, *, date: bool = True, digits: int = 6) -> str:
    """Return a time in UTC, `2026-01-31 08:00:00.123456`, cut to `digits` of a second.

    Args:
        ns: Nanoseconds since the epoch.
        date: Write the date before the time of day.
        digits: Digits of the fraction, at most 9.
    """
    seconds, rest = divmod(ns, NS_PER_S)
    try:
        moment = _EPOCH + datetime.timedelta(seconds=seconds)
    except OverflowError:  # a damaged capture can hold any number
        return f"{ns} ns"
    text = moment.strftime("%Y-%m-%d %H:%M:%S" if date else "%H:%M:%S")
    return f"{text}.{rest:09}"[: len(text) + 1 + digits] if digits else text


def offset(ns: int) -> str:
    """Return a time after some other as `+12 ms`, one before it as `-12 ms`."""
    return format_duration(ns) if ns < 0 else f"+{format_duration(ns)}"


def words(member: str) -> str:
    """Return an enum member as words: `half_closed` becomes `half closed`."""
    return member.replace("_", " ") if member.islower() else member


def count(number: int) -> str:
    """Return a whole number with thousands apart."""
    return f"{number:,}"


def share(part: int, whole: int) -> str:
    """Return a percentage that never rounds something to nothing or almost all to all."""
    if whole == 0:
        return UNKNOWN
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return "<0.1 %"
    if 99.9 < percent < 100:
        return ">99.9 %"
    return f"{percent:.0f} %" if percent >= 10 or percent == 0 else f"{percent:.1f} %"


def plural(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun, in the right form."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def value(name: str, raw: Any) -> str:
    """Return the value of a field as text for people."""
    return _value(BY_NAME[name], raw)


def _value(field: Field, raw: Any) -> str:
    if raw is None:
        return UNKNOWN
    if field.type == "address":
        return format_address(raw)
    if field.unit == "ns since epoch":
        return instant(raw)
    if field.unit == "ns":
        return format_duration(raw)
    if field.unit == "bytes":
        return format_size(raw)
    if field.type == "float32":
        return f"{raw:.2f}"
    if field.type == "list":
        return plural(len(raw), "entry", "entries") if raw else UNKNOWN
    return str(raw) if raw != "" else UNKNOWN
