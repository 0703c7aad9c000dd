"""Reads measures as people write them: a list with commas, each a name, a call, or a quotient of two."""

from __future__ import annotations

import re
from dataclasses import replace

from lastack.model.errors import UsageError
from lastack.query.lexer import mistake
from lastack.query.measures import Atom, Fold, Measure
from lastack.query.metrics import METRICS, Kind, Metric, adds_up, nearest
from lastack.query.parse import parse_filter, session_metric
from lastack.query.vocabulary import COUNTS, DENOMINATORS, SHARES, counted, shared

_CALL = re.compile(r"(\w+(?:\.\d+)?)\((.*)\)", re.DOTALL)
_PERCENTILE = re.compile(r"p(\d{1,2}(?:\.\d{1,3})?)")
_ORDERED = frozenset({Kind.number, Kind.real, Kind.duration, Kind.time, Kind.size})
#: Call -> what it takes and gives.
CALLS: dict[str, str] = {
    "p50(NAME)": "the median; `p90 p99 p99.9` and so on too (nearest rank, exact)",
    "min(NAME)": "the smallest value; `max avg sum` too",
    "distinct(NAME)": "the number of different values, exact",
    "count(FILTER)": "the sessions that pass a filter",
    "share(FILTER)": "their share of the group's sessions",
    "example(FILTER)": "the id of one such session, for `lastack show`; `example` alone takes any",
}
_FUNCTIONS = (
    "count",
    "share",
    "example",
    "distinct",
    "min",
    "max",
    "avg",
    "sum",
    "median",
    "p50",
    "p90",
    "p99",
)


def parse_measures(text: str) -> tuple[Measure, ...]:
    """Return the measures of a list with commas, each once.

    Raises:
        UsageError: One is no measure; the message has the text, carets and the nearest name.
    """
    found: dict[str, Measure] = {}
    for column, part in split_list(text):
        if not part:
            raise mistake(text, column, 1, "a metric was expected here, such as sessions", "metrics")
        try:
            measure = read_measure(part)
        except ValueError as reason:
            raise mistake(text, column, len(part), str(reason), "metrics") from None
        found.setdefault(measure.name, measure)
    return tuple(found.values())


def read_measure(text: str) -> Measure:
    """Return the measure that a text names.

    Raises:
        ValueError: It is none; the message says why and names the nearest.
        UsageError: A filter in it is wrong.
    """
    text = text.strip()
    above, slash, below = halves(text)
    measure = _single(above)
    if not slash:
        return measure
    divisor = _single(DENOMINATORS.get(below.casefold(), below))
    for part in (measure, divisor):
        if part.below is not None:
            raise ValueError(f"{part.name} is a quotient already and cannot be divided or divided by")
        if part.kind not in (Kind.number, Kind.size, Kind.duration):
            raise ValueError(f"{part.name} cannot stand in a quotient: it is no amount")
    name = f"{measure.name}/{below.casefold() if below.casefold() in DENOMINATORS else divisor.name}"
    text = f"{measure.help or measure.name} for each of: {divisor.help or divisor.name}"
    return Measure(name, Kind.ratio, measure.above, divisor.above, help=text)


def split_list(text: str) -> list[tuple[int, str]]:
    """Return the parts between commas that are in no parentheses, braces or quotes, each with its column."""
    parts: list[tuple[int, str]] = []
    start = depth = 0
    quote = ""
    for place, letter in enumerate(f"{text},"):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        elif letter in "({":
            depth += 1
        elif letter in ")}":
            depth -= 1
        if letter == "," and not quote and (depth <= 0 or place == len(text)):
            part = text[start:place]
            parts.append((start + len(part) - len(part.lstrip()), part.strip()))
            start = place + 1
    return parts if start > len(text) else [*parts, (start, text[start:].strip())]


def halves(text: str) -> tuple[str, str, str]:
    """Return what is left and right of a `/` outside of parentheses."""
    depth = 0
    for place, letter in enumerate(text):
        depth += {"(": 1, ")": -1}.get(letter, 0)
        if letter == "/" and depth == 0:
            return text[:place].strip(), "/", text[place + 1 :].strip()
    return text, "", ""


def _single(text: str) -> Measure:
    match = _CALL.fullmatch(text)
    if match is not None:
        return _called(match.group(1).casefold(), match.group(2).strip(), text)
    folded = text.casefold()
    if folded == "example":
        return _example("", "example")
    measure = counted(folded) or shared(folded)
    if measure is not None:
        return measure
    metric = METRICS.get(text) or METRICS.get(folded)
    if metric is None:
        raise ValueError(f"no metric is called {text!r}: {_hint(text)}")
    if not adds_up(metric):
        other = (
            f"p50({text})"
            if metric.kind in _ORDERED and metric.kind is not Kind.number
            else f"distinct({text})"
        )
        raise ValueError(f"{text} does not add up over sessions; ask for {other}")
    return _total(metric)


def _total(metric: Metric, name: str | None = None) -> Measure:
    return Measure(name or metric.name, metric.kind, Atom(Fold.sum, metric), help=f"{metric.help}, summed")


def _hint(text: str) -> str:
    amounts = [name for name, metric in METRICS.items() if adds_up(metric)]
    near = nearest(text, [*COUNTS, *SHARES, *amounts])
    if near:
        return f"did you mean {near}?"
    return "`lastack fields --metrics` lists them"


def _called(function: str, inside: str, text: str) -> Measure:
    if function in ("count", "share", "example"):
        return _filtered(function, inside)
    percentile = _PERCENTILE.fullmatch("p50" if function == "median" else function)
    if percentile is None and function not in ("min", "max", "avg", "sum", "distinct"):
        near = nearest(function, _FUNCTIONS)
        hint = f"did you mean {near}(…)?" if near else "there are " + " ".join(_FUNCTIONS)
        raise ValueError(f"no function is called {function!r}: {hint}")
    metric = session_metric(inside)
    name = f"{function}({metric.name})"
    if function == "distinct":
        return Measure(
            name, Kind.number, Atom(Fold.distinct, metric), help=f"different values of: {metric.help}"
        )
    if metric.kind not in _ORDERED:
        raise ValueError(f"{metric.name} has no order: ask for distinct({metric.name})")
    if function == "sum":
        if not adds_up(metric):
            raise ValueError(f"{metric.name} does not add up over sessions; ask for p50({metric.name})")
        return _total(metric)
    if function in ("min", "max"):
        extreme = "smallest" if function == "min" else "largest"
        return Measure(
            name, metric.kind, Atom(Fold[function], metric), help=f"{extreme} value of: {metric.help}"
        )
    if function == "avg":
        known = parse_filter(f"{metric.name} is not null")
        kind = Kind.ratio if metric.kind in (Kind.number, Kind.real) else metric.kind
        below = Atom(Fold.count, where=known)
        return Measure(name, kind, Atom(Fold.sum, metric), below, help=f"mean of: {metric.help}")
    assert percentile is not None
    # A division would make 0.9990000000000001 of 99.9, which is another rank.
    share = float(f"{percentile.group(1)}e-2")
    if not 0 < share < 1:
        raise ValueError(
            f"{function} is no percentile between p1 and p99.999: use min({inside}) or max({inside})"
        )
    return Measure(
        name, metric.kind, Atom(Fold.quantile, metric, share=share), help=f"percentile of: {metric.help}"
    )


def _filtered(function: str, inside: str) -> Measure:
    if function == "example":
        return _example(inside, f"example({inside})" if inside else "example")
    try:
        node = parse_filter(inside)
    except UsageError as reason:
        raise ValueError(
            f"in {function}(…): {str(reason).removeprefix('filter: ').splitlines()[0]}"
        ) from None
    if node is None:
        raise ValueError(f"{function}(…) takes a filter, such as {function}(rst > 0 and fin = 0)")
    sessions = counted("sessions")
    assert sessions is not None
    measure = Measure(
        f"{function}({inside})", Kind.number, Atom(Fold.count, where=node), help=f"sessions with {inside}"
    )
    if function == "share":
        return replace(measure, kind=Kind.ratio, below=sessions.above, percent=True)
    return measure


def _example(inside: str, name: str) -> Measure:
    node = parse_filter(inside)
    return Measure(
        name, Kind.number, Atom(Fold.example, METRICS["session_id"], node), help="id of one of the sessions"
    )
