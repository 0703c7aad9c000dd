"""Which known systems have the timers that a path test found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lastack.prober.findings import Finding, Kind
from lastack.prober.question import Topic

#: A default counts as inside a bound that it misses by this share: boxes round, and the test has its own delays.
_SLACK = 0.02
_SLACK_NS = 20_000_000


@dataclass(frozen=True, slots=True)
class Default:
    """A timer of a known system.

    Attributes:
        ns: Its default, None for no limit.
        mode: `idle`, `absolute`, or empty when it is not known.
    """

    ns: int | None
    mode: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """Timers of a known system.

    Attributes:
        name: Of its profile.
        title: For people.
        timers: Its defaults, by the start of a question's name: `half_close`, `idle`, `opening_syn`, `opening_synack`,
            `closed`; those that it does not tell are missing.
    """

    name: str
    title: str
    timers: Mapping[str, Default]

    def timer_of(self, question: str) -> Default | None:
        """Return the default that answers a question, None if the system does not tell."""
        name = question.removeprefix("reverse_")
        return next((self.timers[key] for key in (name, name.rpartition("_")[0], name.partition("_")[0])
                     if key in self.timers), None)  # fmt: skip


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
            default = known.timer_of(finding.name)
            verdict = None if default is None else _fits(finding, default)
            if verdict is False and finding.topic in (Topic.closed, Topic.reset):
                # what a box does with segments after the end depends on more than its timer
                verdict = None
            (fits if verdict else undecided if verdict is None else contradicts).append(finding.name)
        if fits and not contradicts:
            out.append(Match(known, tuple(fits), tuple(contradicts), tuple(undecided)))
    return sorted(out, key=lambda match: (-len(match.fits), match.known.name))


def _fits(finding: Finding, default: Default) -> bool | None:
    bound, ns, mode = finding.bound, default.ns, default.mode
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
