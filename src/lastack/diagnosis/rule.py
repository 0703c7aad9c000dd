"""The contract of a rule: which rows it claims, how surely, and how it explains one of them.

A rule is one file in `lastack.diagnosis.rules` with a constant `RULE`, and one line in the registry there. It decides
from columns of many sessions at a time; it never sees a packet, a clock or another session, except for the
`Crowd` that the flood rule is given (see `lastack.diagnosis.crowd`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np

from lastack.diagnosis.case import Case
from lastack.diagnosis.columns import Columns
from lastack.diagnosis.verdict import Alternative, Proof
from lastack.model.enums import Actor, Cause, Harm

#: A claim below this many percent is no verdict: it is only named among what is still possible.
VERDICT_FROM = 50


class Scope(Enum):
    """Which sessions a rule is asked about."""

    attempt = "never opened"
    session = "were established, or picked up in mid-stream"


@dataclass(slots=True)
class Claim:
    """What a rule says of each row.

    Attributes:
        confidence: Percent, uint8; 0 where the rule does not apply, below `VERDICT_FROM` where it is only possible.
        actor: `Actor` codes, uint8.
        harm: `Harm` codes, uint8.
    """

    confidence: Any
    actor: Any
    harm: Any


@dataclass(frozen=True, slots=True)
class Story:
    """How a rule explains one row; the fields are those of `Verdict`."""

    sentence: str
    proof: tuple[Proof, ...] = ()
    alternatives: tuple[Alternative, ...] = ()
    advice: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """One cause.

    Attributes:
        code: The cause.
        title: The cause in a few words.
        shape: What its sessions look like on the wire; for the reference page.
        limits: What it cannot tell, and what is usually meant; for the reference page.
        needs: Columns it reads, members of the evidence as `evidence.name`.
        check: Claims rows.
        explain: Explains one row that it claimed.
        scope: Which sessions it is asked about.
        accuses: Whether it blames somebody in the path.
    """

    code: Cause
    title: str
    shape: str
    limits: str
    needs: tuple[str, ...]
    check: Callable[[Columns], Claim]
    explain: Callable[[Case], Story]
    scope: frozenset[Scope] = field(default=frozenset({Scope.session}))
    accuses: bool = False


ATTEMPT = frozenset({Scope.attempt})
SESSION = frozenset({Scope.session})
EITHER = ATTEMPT | SESSION


def claim(rows: Any, confidence: Any, actor: Any = Actor.unknown, harm: Any = Harm.unknown) -> Claim:
    """Return a claim on the rows of a mask.

    Args:
        rows: Which rows, bool.
        confidence: Percent, one number or one for each row.
        actor: One `Actor` or a code for each row.
        harm: One `Harm` or a code for each row.
    """
    n = len(rows)
    percent = np.uint8(confidence) if isinstance(confidence, int) else confidence.astype(np.uint8)
    return Claim(rows * percent, _codes(actor, n), _codes(harm, n))


def _codes(value: Any, n: int) -> Any:
    if isinstance(value, Actor | Harm):
        return np.full(n, int(value), np.uint8)
    return np.asarray(value).astype(np.uint8, copy=False)
