"""Reads the values of a filter: what is written right of an operator, by the kind of the metric at its left.

Every function raises ValueError with a sentence for people; the parser adds the place.
"""

from __future__ import annotations

import datetime
import math
import re
import struct

from lastack.model.address import parse_network
from lastack.model.units import NS_PER_S, parse_duration_ns, parse_size
from lastack.query.ast import Span, Words
from lastack.query.metrics import Kind, Metric, nearest

_INTEGER = re.compile(r"[+-]?\d+(?:_\d+)*")
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?)?\s*(Z|UTC|[+-]\d\d:?\d\d)?"
)
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
#: Integers that fit some integer column; a larger one is a slip of the hand.
_LOWEST, _HIGHEST = -(2**63), 2**64 - 1


def read_number(metric: Metric, text: str) -> int | float:
    """Return the number that a text names for a metric that has an order."""
    match metric.kind:
        case Kind.number:
            return _integer(text, f"{metric.name} is a whole number")
        case Kind.real:
            return _real(text, metric)
        case Kind.ratio:
            return _ratio(text, metric)
        case Kind.size:
            return _size(text)
        case Kind.duration:
            return _duration(metric, text)
        case Kind.time:
            return _time(text)
    raise ValueError(f"{metric.name} has no order: use = != in or ~")


def read_span(metric: Metric, text: str) -> Span:
    """Return the values that one text names: a single value, a range `a..b`, or a CIDR block."""
    low, dots, high = text.partition("..")
    if dots and not (low and high):
        raise ValueError("a range has a value on each side of `..`")
    if metric.kind is Kind.address:
        first, last = _network(low), _network(high) if dots else _network(low)
        span = Span(first[0], last[1])
    else:
        number = read_number(metric, low)
        span = Span(number, read_number(metric, high) if dots else number)
    if span.low > span.high:  # type: ignore[operator]  # both ends are of one kind
        raise ValueError(f"this range is empty: {low} is above {high}")
    return span


def read_words(metric: Metric, texts: list[tuple[str, bool]], *, glob: bool) -> Words:
    """Return the texts or members that match.

    Args:
        metric: Of kind text or enum.
        texts: Each text, and whether it was quoted.
        glob: Read every text as a glob; else only unquoted ones with `*` or `?` are.
    """
    exact: list[str] = []
    globs: list[str] = []
    for text, quoted in texts:
        if glob or (not quoted and ("*" in text or "?" in text)):
            globs.append(text)
        else:
            exact.append(_member(metric, text) if metric.kind is Kind.enum else text)
    return Words(tuple(exact), tuple(globs))


def _member(metric: Metric, text: str) -> str:
    if text in metric.vocabulary:
        return text
    folded = {name.casefold().replace("-", "_"): name for name in metric.vocabulary}
    found = folded.get(text.casefold().replace("-", "_"))
    if found is not None:
        return found
    near = nearest(text, metric.vocabulary)
    hint = f"did you mean {near}?" if near else f"it is one of {', '.join(metric.vocabulary)}"
    raise ValueError(f"{metric.name} is never {text!r}: {hint}")


def _integer(text: str, rule: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ValueError(f"{rule}, and {text!r} is not")
    if len(text) > 24:
        raise ValueError("this number is larger than any value of the record")
    value = int(text)
    if not _LOWEST <= value <= _HIGHEST:
        raise ValueError("this number is larger than any value of the record")
    return value


def _real(text: str, metric: Metric) -> float:
    try:
        value = float(text)
        # The column holds 32-bit floats: 0.9 must equal the stored 0.9, so compare in its precision.
        rounded: float = struct.unpack("f", struct.pack("f", value))[0]
    except (ValueError, OverflowError):
        raise ValueError(f"{metric.name} is a number, and {text!r} is not") from None
    if rounded != rounded or rounded in (float("inf"), float("-inf")):
        raise ValueError(f"{metric.name} is a finite number")
    return rounded


def _ratio(text: str, metric: Metric) -> float:
    number, percent = (text[:-1], 100) if text.endswith("%") else (text, 1)
    try:
        value = float(number) / percent
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{metric.name} is a quotient, and {text!r} is not a number such as 0.5 or 5%")
    return value


def _size(text: str) -> int:
    if _INTEGER.fullmatch(text):
        return _integer(text, "")
    return _fits(parse_size(text))


def _duration(metric: Metric, text: str) -> int:
    if _INTEGER.fullmatch(text):
        if metric.raw_ns or int(text[:25]) == 0:
            return _integer(text, "")
        raise ValueError(f"{metric.name} is a duration: give a unit, such as {text}s or {text}ms")
    sign = -1 if text.startswith("-") else 1
    return _fits(sign * parse_duration_ns(text.removeprefix("-")))


def _time(text: str) -> int:
    if _INTEGER.fullmatch(text) and len(text.lstrip("+-")) != 4:
        return _integer(text, "")
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(
            f"{text!r} is not a time: write 2026-01-31, 2026-01-31T08:00:00.5Z or nanoseconds since 1970"
        )
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    clock = (int(hour or 0), int(minute or 0), int(second or 0))
    moment = datetime.datetime(int(year), int(month), int(day), *clock, tzinfo=datetime.UTC)
    since = moment - _EPOCH
    whole = since.days * 86_400 + since.seconds
    if zone and zone[0] in "+-":
        ahead = int(zone[1:3]) * 3600 + int(zone[-2:]) * 60
        whole += ahead if zone[0] == "-" else -ahead
    return _fits(whole * NS_PER_S + int((fraction or "").ljust(9, "0")))


def _fits(value: int) -> int:
    if not _LOWEST <= value <= _HIGHEST:
        raise ValueError("this is beyond any value of the record")
    return value


def _network(text: str) -> tuple[bytes, bytes]:
    try:
        return parse_network(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is not an address: write 10.0.0.1, 10.0.0.0/8, 10.0.0.1..10.0.0.9 or 2001:db8::/32"
        ) from None
