"""Which known systems have the timers that a path test found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lastack.prober.findings import Finding, Kind

#: A default counts as inside a bound that it misses by this share: boxes round, and the test has its own delays.
_SLACK = 0.02
_SLACK_NS = 20_000_000


@dataclass(frozen=True, slots=True)
class Known:
    """Timers of a known system.

    Attributes:
        name: Of its profile.
        title: For people.
        half_closed_ns: Its default for half-closed sessions, None for no limit.
        half_closed_mode: `idle`, `absolute`, or empty when it is not known.
        idle_ns: Its default for established sessions, None for no limit.
    """

    name: str
    title: str
    half_closed_ns: int | None
    half_closed_mode: str
    idle_ns: int | None


@dataclass(frozen=True, slots=True)
class Match:
    """How well a known system fits.

    Attributes:
        known: The system.
        fits: Questions whose bound its default lies in.
        contradicts: Questions whose bound it lies outside of.
        open: Questions that the test could not decide for it.
    """

    known: Known
    fits: tuple[str, ...]
    contradicts: tuple[str, ...]
    open: tuple[str, ...]


def matches(findings: Sequence[Finding], systems: Sequence[Known]) -> list[Match]:
    """Return the systems that at least one found timer fits and none contradicts, best first.

    A timer that was not reached (nothing broke) only excludes systems whose default is shorter.
    """
    out = []
    for known in systems:
        fits: list[str] = []
        contradicts: list[str] = []
        undecided: list[str] = []
        for finding in findings:
            half = finding.name.startswith("half_close")
            ns = known.half_closed_ns if half else known.idle_ns
            verdict = _fits(finding, ns, known.half_closed_mode if half else "idle")
            (fits if verdict else undecided if verdict is None else contradicts).append(finding.name)
        if fits and not contradicts:
            out.append(Match(known, tuple(fits), tuple(contradicts), tuple(undecided)))
    return sorted(out, key=lambda match: (-len(match.fits), match.known.name))


def _fits(finding: Finding, ns: int | None, mode: str) -> bool | None:
    bound = finding.bound
    if not finding.conclusive:
        return None
    if bound.broken_ns is None:
        if ns is None or bound.kept_ns is None or ns >= bound.kept_ns:
            return None
        return False
    if ns is None:
        return False
    slack = max(round(ns * _SLACK), _SLACK_NS)
    if not (bound.kept_ns or 0) - slack <= ns <= bound.broken_ns + slack:
        return False
    # a mode that contradicts what was seen excludes; an unknown one on either side does not
    return not (mode and finding.kind in (Kind.idle, Kind.absolute) and mode != finding.kind.value)
