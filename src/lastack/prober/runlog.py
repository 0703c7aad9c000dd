"""What a responder keeps of one run: the reports that the runner will ask for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lastack.prober.opener import Opener
from lastack.prober.trial import EndReport


@dataclass(slots=True)
class RunLog:
    """The reports of one run, in the order in which they were ready.

    Attributes:
        source: Address of the runner.
        seen_ns: When it last asked for anything.
        reports: As JSON values.
        live: Trials that are not over.
        opener: Opens connections back to the runner, once it has proved that it listens.
        looked: What came of looking whether it can be reached: the reply to give.
    """

    source: str
    seen_ns: int
    reports: list[dict[str, Any]] = field(default_factory=list)
    live: int = 0
    opener: Opener | None = None
    looked: dict[str, Any] | None = None

    def take(self, report: EndReport) -> None:
        """Keep the report of a trial that is over."""
        self.live -= 1
        self.reports.append(report.to_json())
