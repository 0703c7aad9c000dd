"""What a path test finds out beside the answers to its questions."""

from __future__ import annotations

from dataclasses import dataclass, field

from lastack.prober.reuse import Reuse


@dataclass(frozen=True, slots=True)
class Untested:
    """Questions that could not be asked.

    Attributes:
        questions: Their names.
        what: In words.
        why: The reason, with the remedy.
    """

    questions: tuple[str, ...]
    what: str
    why: str


@dataclass(slots=True)
class Facts:
    """What a run found out beside its questions.

    Attributes:
        peer: Address and port of the responder.
        seen_as: How the responder sees this end.
        local: How this end sees itself.
        connect_ns: Time of each handshake.
        rtt_ns: Smoothed round-trip time of some connections.
        failures: Connections that could not be opened, by reason.
        reuse: Ports that were opened again.
        untested: Questions that could not be asked.
        elapsed_ns: How long the run took.
        most: Connections at once.
    """

    peer: tuple[str, int] = ("", 0)
    seen_as: tuple[str, int] = ("", 0)
    local: tuple[str, int] = ("", 0)
    connect_ns: list[int] = field(default_factory=list)
    rtt_ns: list[int] = field(default_factory=list)
    failures: dict[str, int] = field(default_factory=dict)
    reuse: list[Reuse] = field(default_factory=list)
    untested: list[Untested] = field(default_factory=list)
    elapsed_ns: int = 0
    most: int = 0


@dataclass(frozen=True, slots=True)
class Status:
    """How far a run is: for a progress display."""

    elapsed_ns: int
    live: int
    samples: int
