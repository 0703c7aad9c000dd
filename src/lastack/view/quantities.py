"""Values of measures and keys as people read them, and as programs do."""

from __future__ import annotations

import math
from typing import Any

from lastack.model.address import format_address
from lastack.model.units import NS_PER_S, format_duration, format_size
from lastack.query.keys import Key
from lastack.query.measures import Fold, Measure
from lastack.query.metrics import Kind
from lastack.view.cells import UNKNOWN, endpoint, instant


def measure_cell(measure: Measure, value: Any) -> str:
    """Return the value of a measure for people; `∞` for something over nothing, `-` for what is not known."""
    if value is None:
        return UNKNOWN
    if isinstance(value, float) and math.isinf(value):
        return "∞"
    if measure.above.fold is Fold.example:
        return str(value)
    match measure.kind:
        case Kind.duration:
            return format_duration(round(value))
        case Kind.size:
            return format_size(value)
        case Kind.time:
            return instant(round(value), digits=3)
        case Kind.ratio:
            return _percent(value) if measure.percent else _quotient(value)
        case Kind.real:
            return f"{value:.2f}"
        case _:
            return f"{value:,}"


def key_cell(key: Key, value: Any) -> str:
    """Return the value of a key for people."""
    if value is None or value == "":
        return UNKNOWN
    if key.metric.kind is Kind.address:
        return format_address(value)
    if key.width_ns is not None:
        return bucket_text(value, key.width_ns)
    return str(value)


def bucket_text(start_ns: int, width_ns: int) -> str:
    """Return the start of a bucket of time, in UTC, as exactly as its width needs."""
    if width_ns % 10**9 == 0:
        return instant(start_ns, digits=0)
    return instant(start_ns, digits=3 if width_ns % 10**6 == 0 else 9)


def width_text(ns: int) -> str:
    """Return the width of a bucket: `30 min`, `10 s`, and no zeros behind."""
    for unit, scale in (("d", 86_400 * NS_PER_S), ("h", 3600 * NS_PER_S), ("min", 60 * NS_PER_S)):
        if ns >= scale and ns % scale == 0:
            return f"{ns // scale} {unit}"
    return format_duration(ns)


def keys_cells(keys: tuple[Key, ...], values: tuple[Any, ...]) -> list[tuple[str, str]]:
    """Return title and text of each key column; an address and the port that follows it are one."""
    cells: list[tuple[str, str]] = []
    skip = False
    for place, (key, value) in enumerate(zip(keys, values, strict=True)):
        if skip:
            skip = False
            continue
        column = key.metric.columns[0]
        end = column.removesuffix("_ip") if column in ("client_ip", "server_ip") else ""
        follows = keys[place + 1].metric.columns[0] if place + 1 < len(keys) else ""
        if end and follows == f"{end}_port":
            cells.append((end, endpoint(value, values[place + 1])))
            skip = True
        else:
            cells.append((end or key.name, key_cell(key, value)))
    return cells


def plain_key(key: Key, value: Any) -> Any:
    """Return the value of a key for programs: addresses as text, times in nanoseconds."""
    if key.metric.kind is Kind.address and value is not None:
        return format_address(value)
    return value


def plain_value(value: Any) -> Any:
    """Return the value of a measure for programs; `Infinity`, as a text, for something over nothing."""
    if isinstance(value, float) and math.isinf(value):
        return "Infinity"
    return value


def unit_of(measure: Measure) -> str:
    """Return the unit of a measure's plain values: `ns`, `ns since epoch`, `bytes`, `ratio`, or `count`."""
    units = {Kind.duration: "ns", Kind.time: "ns since epoch", Kind.size: "bytes", Kind.ratio: "ratio"}
    if measure.above.fold is Fold.example:
        return "session id"
    return units.get(measure.kind, "count")


def _percent(value: float) -> str:
    percent = 100 * value
    if 0 < percent < 0.1:
        return "<0.1 %"
    if 99.9 < percent < 100:
        return ">99.9 %"
    return f"{percent:.0f} %" if percent >= 10 or percent == 0 else f"{percent:.1f} %"


def _quotient(value: float) -> str:
    if value == 0:
        return "0"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.2f}" if value >= 0.01 else f"{value:.2g}"
