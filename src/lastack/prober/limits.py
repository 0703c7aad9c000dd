"""What a responder spends at most, and what it has done."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from lastack.prober import protocol


@dataclass(frozen=True, slots=True)
class Limits:
    """What a responder spends at most.

    Attributes:
        connections: At once, of all sources.
        per_source: At once, of one address.
        runs: Whose reports are kept.
        reports: Kept of one run.
        wait_ns: Longest wait of a trial.
        keep_ns: How long a run without connections is remembered.
    """

    connections: int = 8192
    per_source: int = 4096
    runs: int = 64
    reports: int = 50_000
    wait_ns: int = protocol.MAX_WAIT_NS
    keep_ns: int = 3600 * 10**9


@dataclass(slots=True)
class Counts:
    """What a responder has done."""

    accepted: int = 0
    trials: int = 0
    refused: Counter[str] = field(default_factory=Counter)
