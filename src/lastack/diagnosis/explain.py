"""Explains one session row: the sentence, its proof, and what else it may have been."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lastack.diagnosis.case import Case
from lastack.diagnosis.columns import Columns
from lastack.diagnosis.rule import Scope
from lastack.diagnosis.rules import BY_CAUSE, RULES
from lastack.diagnosis.verdict import Alternative, Proof, Verdict
from lastack.model.enums import Actor, Cause, Harm

#: What remains when nothing else applies is no alternative to what does.
_WITHOUT_SHAPE = {
    Cause.aborted_by_client,
    Cause.aborted_by_server,
    Cause.still_open,
    Cause.half_closed_waiting,
    Cause.clean_close,
}
_COST = {
    "open_failed": "the connection did not come about",
    "data_lost": "data may be lost",
    "close_lost": "an end may still hold the connection",
    "stalled": "the application stalled",
}
_SEEN = {
    "one_way": "only one direction was seen",
    "lossy": "packets are missing from the capture",
    "start_missing": "its beginning was not seen",
    "evicted": "it left the table early",
}


def explain(row: Mapping[str, Any]) -> Verdict:
    """Return the verdict of one session row in words, with packets that prove it.

    Args:
        row: Column name to value, as `to_pylist` of a record batch of the session record gives it.

    Raises:
        KeyError: The row lacks a column that the cause needs.
    """
    case = Case(row)
    cause = Cause[row["cause"]]
    rule = BY_CAUSE[cause]
    story = rule.explain(case)
    proof = story.proof if any(fact.packet for fact in story.proof) else (*case.opened_proof(), *story.proof)
    return Verdict(
        cause=cause,
        title=rule.title,
        sentence=story.sentence + _weakness(row),
        confidence=float(row["cause_confidence"]),
        actor=Actor[row["actor"]],
        harm=Harm[row["harm"]],
        cost=_COST.get(row["harm"], ""),
        proof=_in_order(proof),
        alternatives=_alternatives(case, cause, story.alternatives),
        advice=story.advice,
    )


def _weakness(row: Mapping[str, Any]) -> str:
    if row["cause"] == "observer_limit" or row["observed"] not in _SEEN:
        return ""
    return f" ({_SEEN[row['observed']]})"


def _in_order(proof: tuple[Proof, ...]) -> tuple[Proof, ...]:
    """Return facts by time, those without one where they stood, and each only once."""
    kept = list(dict.fromkeys(proof))
    moment = 0
    placed: list[tuple[int, int, Proof]] = []
    for fact in kept:
        moment = fact.time_ns if fact.time_ns is not None else moment
        placed.append((moment, len(placed), fact))
    return tuple(fact for _, _, fact in sorted(placed, key=lambda entry: entry[:2]))


def _alternatives(case: Case, cause: Cause, told: tuple[Alternative, ...]) -> tuple[Alternative, ...]:
    """Return the rule's own alternatives and every other rule that also claims the row, possible ones first."""
    scope = Scope.attempt if case["ending"] == "never_opened" else Scope.session
    known = {cause} | {alternative.cause for alternative in told} | _WITHOUT_SHAPE
    more = []
    for rule in RULES:
        if rule.code in known or scope not in rule.scope:
            continue
        said = rule.check(Columns(case.batch))
        if said.confidence[0]:
            more.append(Alternative(rule.code, True, f"its shape fits too, less well: {rule.title}"))
    return tuple(sorted((*told, *more), key=lambda alternative: not alternative.possible))
