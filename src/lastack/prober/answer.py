"""All that a path test found, with its exit code and its form for machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lastack.prober.facts import Facts
from lastack.prober.findings import Finding
from lastack.prober.match import Match
from lastack.prober.requirement import Requirement
from lastack.prober.trial import Via


@dataclass(frozen=True, slots=True)
class PathAnswer:
    """What a path test found.

    Attributes:
        target: Host and port.
        findings: One for each question.
        facts: What was found beside them.
        matches: Known systems that fit.
        required: Each requirement with whether it holds; None is undecided.
        whole: False when the run was stopped before it was done.
    """

    target: str
    findings: tuple[Finding, ...]
    facts: Facts
    matches: tuple[Match, ...]
    required: tuple[tuple[Requirement, bool | None], ...]
    whole: bool

    @property
    def exit_code(self) -> int:
        """0 when everything required holds, 1 when something does not, 3 when the test cannot tell."""
        answers = [answer for _, answer in self.required]
        if False in answers:
            return 1
        if None in answers or not any(finding.conclusive for finding in self.findings):
            return 3
        return 0


def answer_json(answer: PathAnswer) -> dict[str, Any]:
    """Return an answer as JSON values; times are ns."""
    facts = answer.facts
    handshakes = sorted(facts.connect_ns)
    return {
        "target": answer.target,
        "whole": answer.whole,
        "elapsed_ns": facts.elapsed_ns,
        "connections_at_once": facts.most,
        "seen_as": list(facts.seen_as),
        "local": list(facts.local),
        "address_translated": translated(facts),
        "findings": [
            {
                "name": finding.name,
                "title": finding.title,
                "topic": finding.topic.value,
                "opened_by": "responder" if finding.via is Via.reverse else "here",
                "raw": finding.via is Via.raw,
                "kept_up_to_ns": finding.bound.kept_ns,
                "broken_from_ns": finding.bound.broken_ns,
                "kind": finding.kind.value,
                "expiry": finding.expiry.value,
                "expiries": finding.expiries,
                "longest_ns": finding.longest_ns,
                "samples": finding.samples,
                "kept": finding.bound.kept,
                "broken": finding.bound.broken,
                "doubtful": finding.bound.doubtful,
                "bad": finding.bad,
                "reset_latency_ns": finding.reset_latency_ns,
                "rtt_ns": finding.rtt_ns,
                "rst_seen": finding.rst_seen,
                "why": finding.why,
                "conclusive": finding.conclusive,
            }
            for finding in answer.findings
        ],
        "not_tested": [
            {"questions": list(one.questions), "what": one.what, "why": one.why} for one in facts.untested
        ],
        "handshake_ns": {
            "count": len(handshakes),
            "p50": percentile(handshakes, 0.5),
            "p99": percentile(handshakes, 0.99),
            "max": handshakes[-1] if handshakes else None,
        },
        "failures": facts.failures,
        "reuse": [
            {"way": one.way, "wait_ns": one.wait_ns, "outcome": one.outcome, "took_ns": one.took_ns}
            for one in sorted(facts.reuse, key=lambda one: (one.way, one.wait_ns))
        ],
        "matches": [
            {"profile": match.known.name, "title": match.known.title, "fits": list(match.fits)}
            for match in answer.matches
        ],
        "required": [
            {"requirement": str(requirement), "holds": holds_} for requirement, holds_ in answer.required
        ],
        "exit_code": answer.exit_code,
    }


def translated(facts: Facts) -> bool | None:
    """Return whether the responder saw another address than this end has; None when there was no connection."""
    if not facts.local[0] or not facts.seen_as[0]:
        return None
    return facts.seen_as[0].removeprefix("::ffff:") != facts.local[0].removeprefix("::ffff:")


def percentile(ordered: Sequence[int], share: float) -> int | None:
    """Return a percentile of sorted values, None of nothing."""
    if not ordered:
        return None
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]
