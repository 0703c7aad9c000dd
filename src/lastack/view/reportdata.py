"""What a report shows, as plain data; `app.report` gathers it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lastack.diagnosis.verdict import Verdict
from lastack.query.overview import Overview
from lastack.query.questions import GroupedAnswer
from lastack.query.series import Distribution, TimeChart
from lastack.store.manifest import Run


@dataclass(frozen=True, slots=True)
class Example:
    """One session that stands for a cause.

    Attributes:
        row: Its fields.
        verdict: What the rules say of it.
    """

    row: dict[str, Any]
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class CauseGroup:
    """The sessions of one cause."""

    cause: str
    sessions: int
    harmed: int
    examples: tuple[Example, ...] = ()


@dataclass(slots=True)
class ReportData:
    """What a report shows.

    Attributes:
        inputs: What was read, as the user named it.
        where: The filter's text, empty for all sessions.
        run: What was read.
        overview: Ledger, waiting sessions, times, findings.
        endings: Sessions by ending, by the time of their last packet.
        failures: Failed attempts by kind, over time.
        resets: RSTs by sender, over time.
        half_closed: Sessions that are half-closed, at a time.
        tables: Title -> grouped rows.
        causes: Every cause, those with harm first.
        times: Distributions of handshake and half-closed times.
        timers: Name of a box -> how long it keeps a half-closed session, ns.
        notes: What the reader must know of the input.
    """

    inputs: tuple[str, ...]
    where: str
    run: Run
    overview: Overview
    endings: TimeChart
    failures: TimeChart
    resets: TimeChart
    half_closed: TimeChart
    tables: dict[str, GroupedAnswer]
    causes: list[CauseGroup]
    times: dict[str, Distribution]
    timers: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
