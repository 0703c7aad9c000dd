"""Compares two periods of one input, or two inputs: overall, by service, client, application, zones and cause."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lastack.app.grouped import Source
from lastack.model.errors import UsageError
from lastack.query.ast import Node
from lastack.query.compare import SECOND, Compared, Comparison, Counts, can_differ, changes
from lastack.query.keys import Key, parse_keys
from lastack.query.measure_text import halves, parse_measures
from lastack.query.measures import Fold, Measure
from lastack.query.metrics import Kind
from lastack.query.questions import Grouped, GroupedAnswer, Sort
from lastack.query.vocabulary import name_of

#: What is compared unless told otherwise: counts, each over its base.
USUAL = (
    "refused/attempt", "unanswered/attempt", "half_open/attempt", "aborted/attempt", "cut/established",
    "vanished/established", "half_closed_backlog/established", "harmed/session", "resets.clt/session",
    "resets.srv/session", "attempts",
)  # fmt: skip
#: By what; each by itself.
DIMENSIONS = ("", "service", "client", "app", "zones")
#: Fields that say how a session went: each member's sessions are compared with all sessions.
OUTCOMES = ("cause",)
_SUMMARY = "sessions,attempts,connections,failed_share,refused_share,cut_share,harmed_share,p50(ct),p99(ct)"
#: Groups of a dimension that are looked at, the largest first.
MOST_GROUPS = 100_000


@dataclass(frozen=True, slots=True)
class Period:
    """One side of a comparison.

    Attributes:
        name: What it is called.
        source: Its sessions.
        where: Filter that cuts the period out and says which sessions are looked at.
        seconds: Its length, the base of what has no other.
    """

    name: str
    source: Source
    where: Node | None
    seconds: float


def compare(
    before: Period, after: Period, metrics: str = "", by: Sequence[str] = (), strays: bool = False
) -> Comparison:
    """Return what changed from one period to another.

    Args:
        before: The first.
        after: The second.
        metrics: Counts of sessions, or a count by a count; the usual ones if empty.
        by: Keys to look at, each text a dimension of its own; the usual ones if empty.
        strays: Look at lone packets too.

    Raises:
        UsageError: A metric is no count, or a period has no length.
    """
    pairs = [_pair(measure) for measure in parse_measures(metrics or ",".join(USUAL))]
    if before.seconds <= 0 or after.seconds <= 0:
        raise UsageError("compare: a period without length cannot be compared")
    dimensions = [parse_keys(text) for text in (by or DIMENSIONS)]
    outcomes = [parse_keys(text) for text in (() if metrics or by else OUTCOMES)]
    summary = parse_measures(_SUMMARY)
    sides = [side.source.grouped(Grouped(summary, (), side.where, strays=strays)) for side in (before, after)]
    result = Comparison(before.name, after.name, (before.seconds, after.seconds), (sides[0], sides[1]))
    items: list[Compared] = []
    for keys in dimensions:
        asked = _ask(before, after, keys, pairs, strays, result)
        found = _compared(asked, keys, pairs, (before.seconds, after.seconds))
        if not keys or len({item.group for item in found}) > 1:  # one group is everywhere over again
            items += found
    whole = [side.total.values["sessions"] for side in sides]
    for keys in outcomes:
        (sessions,) = parse_measures("sessions")
        asked = _ask(before, after, keys, [(sessions, None)], strays, result)
        for group, first, second in _both(asked):
            counts = Counts(_of(first, sessions), whole[0], _of(second, sessions), whole[1])
            items.append(Compared("sessions", "sessions", tuple(key.name for key in keys), group, counts))
    result.tried = sum(can_differ(item.counts) for item in items)
    result.changes = changes(items)
    return result


def _pair(measure: Measure) -> tuple[Measure, Measure | None]:
    """Return a count and its base as measures of their own, None for a rate over time."""
    if any(atom.fold is not Fold.count for atom in measure.atoms):
        raise UsageError(
            f"compare: {measure.name} does not count sessions, and what is not counted one by one has no known "
            "noise; compare a count, such as count(rst > 0), or a count by a count, such as refused_share"
        )
    if measure.below is None:
        return measure, None
    above, _, below = halves(measure.name)
    if above.startswith("share("):
        above, below = f"count{above.removeprefix('share')}", "sessions"
    return (
        Measure(name_of(measure.above) or above, Kind.number, measure.above),
        Measure(name_of(measure.below) or below, Kind.number, measure.below),
    )


def _ask(
    before: Period,
    after: Period,
    keys: tuple[Key, ...],
    pairs: list[tuple[Measure, Measure | None]],
    strays: bool,
    result: Comparison,
) -> tuple[GroupedAnswer, GroupedAnswer]:
    """Ask both sides for the counts and bases of each group."""
    (sessions,) = parse_measures("sessions")
    known = {
        f"count {count.name}": Measure(f"count {count.name}", count.kind, count.above) for count, _ in pairs
    }
    known |= {
        f"base {count.name}": Measure(f"base {count.name}", base.kind, base.above)
        for count, base in pairs
        if base is not None
    }
    measures = (*known.values(), sessions)
    answers = []
    for side in (before, after):
        question = Grouped(measures, keys, side.where, sort=Sort("sessions"), top=MOST_GROUPS, strays=strays)
        answers.append(side.source.grouped(question))
    names = ", ".join(key.name for key in keys)
    if any(answer.groups > MOST_GROUPS for answer in answers):
        result.notes.append(
            f"by {names}: the largest {MOST_GROUPS:,} groups were compared, the others were not"
        )
    return answers[0], answers[1]


def _both(asked: tuple[GroupedAnswer, GroupedAnswer]) -> list[tuple[tuple[Any, ...], Any, Any]]:
    """Return each group with its values in both periods, None where it has no session."""
    first, second = ({row.keys: row.values for row in answer.rows} for answer in asked)
    # What a list was too short for is not nothing: such groups are left out.
    cut = [answer.groups > len(answer.rows) for answer in asked]
    groups = dict.fromkeys([*first, *second])
    return [
        (group, first.get(group), second.get(group))
        for group in groups
        if not (cut[0] and group not in first) and not (cut[1] and group not in second)
    ]


def _of(values: dict[str, Any] | None, measure: Measure) -> int:
    return int(values[measure.name]) if values is not None else 0


def _compared(
    asked: tuple[GroupedAnswer, GroupedAnswer],
    keys: tuple[Key, ...],
    pairs: list[tuple[Measure, Measure | None]],
    seconds: tuple[float, float],
) -> list[Compared]:
    names = tuple(key.name for key in keys)
    found = []
    for group, first, second in _both(asked):
        for count, base in pairs:
            sides = [
                (
                    values[f"count {count.name}"] if values else 0,
                    seconds[i] if base is None else (values[f"base {count.name}"] if values else 0),
                )
                for i, values in enumerate((first, second))
            ]
            (a, a_base), (b, b_base) = sides
            counts = Counts(int(a), float(a_base), int(b), float(b_base))
            found.append(Compared(count.name, base.name if base else SECOND, names, group, counts))
    return found
