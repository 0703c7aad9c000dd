"""What the two ends of a flow told, put together: whether it got through, and if not, when it stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from lastack.lab.traffic.plan import FlowPlan
from lastack.lab.traffic.steps import OUTCOMES, Steps

#: When the ends disagree, the one that knows more speaks: earlier in this list.
_TELLING = (
    "cancelled", "refused", "unanswered", "reset", "stopped", "not closed", "unknown", "done",
)  # fmt: skip
assert set(_TELLING) == set(OUTCOMES), "every outcome has a rank"


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of a flow.

    Attributes:
        outcome: One of `OUTCOMES`, of both ends together.
        first_fin_by: `near` or `far`: who sent the first FIN; empty if nobody.
        first_fin_ns: When, after the flow began.
        last_byte_ns: When the last payload arrived at either end, after the flow began.
        stopped_ns: `last_byte_ns` of a flow that stopped or was reset before it was done, else None.
        after_fin_ns: From the first FIN to that.
        done_ns: When both ends had closed, after the flow began.
        detail: More on it, for people.
    """

    outcome: str
    first_fin_by: str
    first_fin_ns: int | None
    last_byte_ns: int | None
    stopped_ns: int | None
    after_fin_ns: int | None
    done_ns: int | None
    detail: str


@dataclass(slots=True)
class FlowReport:
    """One flow: the plan and both accounts, all in the near end's time.

    Attributes:
        flow: Number, from 1.
        plan: What it was to do.
        near: Account of the near end.
        far: Account of the far end.
        near_address: The near end's socket, as it sees itself: `address:port`.
        far_address: The other end, as near sees it.
    """

    flow: int
    plan: FlowPlan
    near: Steps = field(default_factory=Steps)
    far: Steps = field(default_factory=Steps)
    near_address: str = ""
    far_address: str = ""

    def finding(self) -> Finding:
        """Return what became of it."""
        start_ns = min((ns for ns in (self.near.begun_ns, self.far.begun_ns) if ns is not None), default=0)
        outcome, detail = self._outcome()
        fins = [
            (steps.fin_sent_ns, name)
            for name, steps in (("near", self.near), ("far", self.far))
            if steps.fin_sent_ns is not None
        ]
        fin_ns, fin_by = min(fins, default=(None, ""))
        last_ns = _latest(self.near.last_received_ns, self.far.last_received_ns)
        closed = (self.near.closed_ns, self.far.closed_ns)
        failed = outcome in ("stopped", "reset")
        return Finding(
            outcome,
            fin_by,
            _since(start_ns, fin_ns),
            _since(start_ns, last_ns),
            _since(start_ns, last_ns) if failed else None,
            last_ns - fin_ns if failed and last_ns is not None and fin_ns is not None else None,
            _since(start_ns, _latest(*closed)) if None not in closed else None,
            detail,
        )

    def _outcome(self) -> tuple[str, str]:
        ranked = sorted((self.near, self.far), key=lambda steps: _TELLING.index(steps.outcome))
        told = ranked[0]
        complete = (self.near.received, self.far.received) == (self.plan.down_bytes, self.plan.up_bytes)
        # once everything has arrived, what went wrong went wrong with the closing
        if complete and told.outcome == "stopped":
            return "not closed", told.detail
        return told.outcome, told.detail

    def row(self) -> dict[str, Any]:
        """Return it as one flat row, for CSV and JSON: times in ns since the flow began."""
        found = self.finding()
        start_ns = min((ns for ns in (self.near.begun_ns, self.far.begun_ns) if ns is not None), default=0)
        row: dict[str, Any] = {
            "flow": self.flow,
            "near_address": self.near_address,
            "far_address": self.far_address,
            "opener": self.plan.opener,
            "close": self.plan.close,
            "up_bytes": self.plan.up_bytes,
            "down_bytes": self.plan.down_bytes,
            "outcome": found.outcome,
            "first_fin_by": found.first_fin_by,
            "first_fin_ns": found.first_fin_ns,
            "last_byte_ns": found.last_byte_ns,
            "stopped_ns": found.stopped_ns,
            "after_fin_ns": found.after_fin_ns,
            "done_ns": found.done_ns,
            "detail": found.detail,
        }
        for name, steps in (("near", self.near), ("far", self.far)):
            for key, value in steps.to_json().items():
                known = key.endswith("_ns") and value is not None
                row[f"{name}_{key}"] = value - start_ns if known else value
        return row


@dataclass(frozen=True, slots=True)
class Summary:
    """Flows of one way of closing, together.

    Attributes:
        close: The way.
        flows: How many.
        outcomes: Outcome -> how many.
        bytes_received: Payload that arrived, both directions.
        bytes_planned: Payload that should have.
        stopped_after_fin_ns: Shortest, median and longest time from the first FIN to the last byte of flows that
            stopped or were reset; None if there are none.
    """

    close: str
    flows: int
    outcomes: dict[str, int]
    bytes_received: int
    bytes_planned: int
    stopped_after_fin_ns: tuple[int, int, int] | None

    def good(self) -> bool:
        """Return whether every flow is done."""
        return self.outcomes == {"done": self.flows}


def summarise(reports: Sequence[FlowReport]) -> list[Summary]:
    """Return a summary for each way of closing, in the order of their first flows."""
    found = []
    for close in dict.fromkeys(report.plan.close for report in reports):
        group = [report for report in reports if report.plan.close == close]
        findings = [report.finding() for report in group]
        ages = sorted(each.after_fin_ns for each in findings if each.after_fin_ns is not None)
        counts = Counter(each.outcome for each in findings)
        found.append(
            Summary(
                close,
                len(group),
                {name: counts[name] for name in OUTCOMES if counts[name]},
                sum(report.near.received + report.far.received for report in group),
                sum(report.plan.up_bytes + report.plan.down_bytes for report in group),
                (ages[0], round(median(ages)), ages[-1]) if ages else None,
            )
        )
    return found


def _latest(*times: int | None) -> int | None:
    return max((ns for ns in times if ns is not None), default=None)


def _since(start_ns: int, ns: int | None) -> int | None:
    return None if ns is None else ns - start_ns


def total(reports: Iterable[FlowReport]) -> int:
    """Return the payload bytes that have arrived so far."""
    return sum(report.near.received + report.far.received for report in reports)
