"""Configured durations in words: exactly what was configured, unlike a measured one."""

from __future__ import annotations

from lastack.model.units import NS_PER_S, format_duration

_UNITS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))


def duration_text(ns: int | None) -> str:
    """Return a configured duration in units that say it exactly, such as `1 h 30 min`; `never` for None."""
    if ns is None:
        return "never"
    if ns % NS_PER_S:
        return format_duration(ns)
    rest, parts = ns // NS_PER_S, []
    for unit, scale in _UNITS:
        number, rest = divmod(rest, scale)
        if number:
            parts.append(f"{number} {unit}")
    return " ".join(parts) or "0 s"
