"""What a path must hold, as a line in a script: `half-close>=60s`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from lastack.model.errors import UsageError
from lastack.model.units import format_duration, parse_duration_ns
from lastack.prober.findings import Finding

#: Name -> questions that must all hold.
NAMES: dict[str, tuple[str, ...]] = {
    "half-close": ("half_close_client", "half_close_server"),
    "half-close-client": ("half_close_client",),
    "half-close-server": ("half_close_server",),
    "idle": ("idle_client", "idle_server"),
    "idle-client": ("idle_client",),
    "idle-server": ("idle_server",),
    "reverse-half-close": ("reverse_half_close_client", "reverse_half_close_server"),
    "reverse-idle": ("reverse_idle_client", "reverse_idle_server"),
    "opening": ("opening_syn", "opening_synack"),
    "closed": ("closed_fin_client", "closed_fin_server"),
}
_FORM = re.compile(r"([a-z-]+)\s*>=\s*(\S+)")


@dataclass(frozen=True, slots=True)
class Requirement:
    """A silence that connections must survive.

    Attributes:
        name: One of `NAMES`.
        least_ns: The silence.
    """

    name: str
    least_ns: int

    def __str__(self) -> str:
        return f"{self.name} >= {format_duration(self.least_ns)}"


def parse_requirement(text: str) -> Requirement:
    """Return the requirement that a text states.

    Raises:
        UsageError: It has another form, an unknown name, or no duration.
    """
    match = _FORM.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"requirement {text!r}: write it as half-close>=60s")
    name = match.group(1)
    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES, n=1)
        raise UsageError(
            f"requirement {text!r}: no {name!r}; {f'did you mean {near[0]}?' if near else ', '.join(NAMES)}"
        )
    try:
        return Requirement(name, parse_duration_ns(match.group(2)))
    except (ValueError, OverflowError) as error:
        raise UsageError(f"requirement {text!r}: {error}") from error


def holds(requirement: Requirement, findings: Sequence[Finding]) -> bool | None:
    """Return whether the findings meet a requirement; None when they do not tell.

    Args:
        requirement: The silence to survive.
        findings: All answers of a run.
    """
    by_name = {finding.name: finding for finding in findings}
    answers: list[bool | None] = []
    for name in NAMES[requirement.name]:
        finding = by_name.get(name)
        if finding is None or not finding.conclusive:
            answers.append(None)
        elif finding.bound.broken_ns is not None and finding.bound.broken_ns <= requirement.least_ns:
            answers.append(False)
        elif finding.bound.kept_ns is not None and finding.bound.kept_ns >= requirement.least_ns:
            answers.append(True)
        else:
            answers.append(None)
    if False in answers:
        return False
    return None if None in answers else True
