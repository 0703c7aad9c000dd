"""Gives every session row its verdict: the kernel's simple one where nothing speaks against it, the rules elsewhere.

A row is *plain* when the kernel's verdict needs no second look: no evidence that could change it, seen well enough, and
one of the endings that the simple verdict gets right. The rules, asked about a plain row, say the same; a test holds
them to it. So they run on the few rows that closed oddly, and a plain row costs some nanoseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from lastack.diagnosis.around import Around
from lastack.diagnosis.arrays import BatchArrays, codes_of
from lastack.diagnosis.columns import Columns
from lastack.diagnosis.rule import VERDICT_FROM, Rule, Scope
from lastack.diagnosis.rules import RULES, half_open_client_gone, observer_limit, syn_flood
from lastack.diagnosis.translate import translate
from lastack.model.arrow import coded, enum_values
from lastack.model.enums import Actor, Cause, Ending, Harm, Observed, are
from lastack.model.fields import BY_NAME

_PLAIN = np.zeros((len(Cause), len(Observed)), bool)
for _cause in (Cause.clean_close, Cause.refused, Cause.refused_icmp, Cause.unanswered, Cause.still_open):
    _PLAIN[_cause, [Observed.lossy, Observed.end_missing, Observed.complete]] = True
_PLAIN[Cause.still_open, Observed.lossy] = False
_PLAIN[Cause.clean_close, [Observed.evicted, Observed.one_way, Observed.start_missing]] = True
_PLAIN[Cause.unknown, Observed.start_missing] = True  # strays
_PLAIN[Cause.half_closed_waiting, [Observed.end_missing, Observed.complete]] = True
_ODD_CODES = ~_PLAIN.ravel()
assert len(_ODD_CODES) <= 256, "codes are counted in bytes"
#: Causes that the opening alone tells: no evidence changes them.
_TOLD_BY_OPENING = np.zeros(len(Cause), bool)
_TOLD_BY_OPENING[[Cause.refused, Cause.refused_icmp, Cause.unanswered]] = True
_CONFIDENCE = np.arange(256, dtype=np.float32) / np.float32(100)

#: The rules that can claim a half-open attempt which was not evicted, before its earlier session is known. In a flood
#: nearly all rows are such attempts; a test holds these rules to the answers of all.
_HALF_OPEN = (syn_flood.RULE, half_open_client_gone.RULE)


_WORTH_LEAVING = 0.7  # share of the rows that still wait: with fewer, the others are left behind


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Verdicts of some rows, uint8 each or one for all: codes of `Cause`, `Actor`, `Harm`; confidence in percent."""

    cause: Any
    percent: Any
    actor: Any
    harm: Any


#: What the rules say of rows that show one end of an open session, and nothing more.
_UNSEEN = Verdicts(Cause.observer_limit, observer_limit.SURE, Actor.unknown, Harm.unknown)


def diagnose(batch: Any, around: Around | None = None) -> Any:
    """Return a record batch of session rows with its verdicts and translations filled in.

    Args:
        batch: Rows of the session record with the kernel's simple verdict.
        around: The run around them; None if nothing is known of it.
    """
    odd = _odd(batch, around)
    unseen = odd & _is_unseen(batch)
    half_open = odd & _is_half_open(batch)
    changed: dict[str, Any] = {}
    said = [(np.flatnonzero(unseen), _UNSEEN)] if unseen.any() else []
    for some, rules in ((half_open, _HALF_OPEN), (odd & ~half_open & ~unseen, RULES)):
        rows = np.flatnonzero(some)
        if len(rows):
            said.append((rows, judge(batch, rows, around, rules=rules)))
    if said:
        changed = _written(batch, *said)
    return _with(batch, changed | {name: _coded(name, values) for name, values in translate(batch).items()})


def _is_half_open(batch: Any) -> Any:
    """Return which rows only a few rules can claim."""
    half_open = are(codes_of(batch.column("cause"), Cause), Cause.half_open_client_gone)
    return half_open & ~are(codes_of(batch.column("observed"), Observed), Observed.evicted)


def _is_unseen(batch: Any) -> Any:
    """Return which rows seem open, show one end only and nothing more: the first rule claims them."""
    still_open = are(codes_of(batch.column("cause"), Cause), Cause.still_open)
    one_way = are(codes_of(batch.column("observed"), Observed), Observed.one_way)
    return still_open & one_way & ~_has_evidence(batch)


def _has_evidence(batch: Any) -> Any:
    """Return which rows have evidence; one answer for all if the batch has no such column."""
    if (at := batch.schema.get_field_index("evidence")) < 0:
        return np.False_
    offsets = np.asarray(batch.column(at).offsets)
    return offsets[1:] > offsets[:-1]


def rejudge(batch: Any, rows: Any, *, challenged: bool) -> Any:
    """Return a record batch of judged rows with some of them judged again, by more than their own row.

    Args:
        batch: Judged rows.
        rows: Which to judge again, as an index array.
        challenged: Whether the session that each follows on its ports answered its SYN.
    """
    return _with(batch, _written(batch, (rows, judge(batch, rows, challenged=challenged))))


def _written(batch: Any, *said: tuple[Any, Verdicts]) -> dict[str, Any]:
    """Return the verdict columns of a batch with the verdicts of some rows in place."""
    changed: dict[str, Any] = {}
    for name in ("cause", "actor", "harm"):
        whole = codes_of(batch.column(name), BY_NAME[name].enum).copy()
        for rows, verdicts in said:
            whole[rows] = getattr(verdicts, name)
        changed[name] = _coded(name, whole)
    confidence = batch.column("cause_confidence").to_numpy(zero_copy_only=False).copy()
    for rows, verdicts in said:
        confidence[rows] = _CONFIDENCE[verdicts.percent]
    return changed | {"cause_confidence": pa.array(confidence)}


def _with(batch: Any, changed: dict[str, Any]) -> Any:
    columns = batch.columns
    for name, column in changed.items():
        if (at := batch.schema.get_field_index(name)) >= 0:
            columns[at] = column
    return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def _odd(batch: Any, around: Around | None) -> Any:
    """Return which rows are not plain."""
    cause = codes_of(batch.column("cause"), Cause)
    observed = codes_of(batch.column("observed"), Observed)
    odd = _ODD_CODES.take(cause * np.uint8(len(Observed)) + observed)
    if around is not None and not around.both_ways:
        odd |= are(cause, Cause.unanswered)
    evidence = _has_evidence(batch)
    # What was picked up in mid-stream and has bytes is open, if nothing says otherwise.
    midstream = are(cause, Cause.still_open) & are(observed, Observed.start_missing) & ~evidence
    if midstream.any():
        odd &= ~midstream | ((_numbers(batch, "bytes_clt") | _numbers(batch, "bytes_srv")) == 0)
    return odd | evidence & ~_TOLD_BY_OPENING.take(cause)


def _numbers(batch: Any, name: str) -> Any:
    return batch.column(name).to_numpy(zero_copy_only=False)


def _coded(name: str, values: Any) -> Any:
    return coded(values, enum_values(BY_NAME[name]))


def judge(
    batch: Any,
    rows: Any,
    around: Around | None = None,
    *,
    challenged: bool = False,
    rules: tuple[Rule, ...] = RULES,
) -> Verdicts:
    """Return the verdicts of some rows by the rules alone.

    Args:
        batch: Session rows.
        rows: Which of them, as an index array.
        around: The run around them.
        challenged: Whether the session that each row follows on its ports answered its SYN.
        rules: Which rules to ask, in order.
    """
    said = Verdicts(*(np.zeros(len(rows), np.uint8) for _ in range(4)))
    arrays = BatchArrays(batch)
    attempt = are(codes_of(batch.column("ending"), Ending).take(rows), Ending.never_opened)
    for scope, some in ((Scope.attempt, attempt), (Scope.session, ~attempt)):
        places = np.flatnonzero(some)
        if len(places):
            cols = Columns(batch, rows[places], around, challenged=challenged, arrays=arrays)
            _ask(cols, rules, scope, places, said)
    return said


def _ask(cols: Columns, rules: tuple[Rule, ...], scope: Scope, places: Any, said: Verdicts) -> None:
    """Ask each rule of a scope in turn; the first that is sure enough decides a row."""
    waiting = np.ones(cols.n, bool)
    for rule in rules:
        if scope not in rule.scope:
            continue
        claimed = rule.check(cols)
        won = waiting & (claimed.confidence >= VERDICT_FROM)
        if won.any():
            at = places[won]
            said.cause[at], said.percent[at] = rule.code, claimed.confidence[won]
            said.actor[at], said.harm[at] = claimed.actor[won], claimed.harm[won]
            waiting &= ~won
            left = np.flatnonzero(waiting)
            if not len(left):
                return
            if len(left) < _WORTH_LEAVING * cols.n:
                cols, places, waiting = cols.some(left), places[left], np.ones(len(left), bool)
