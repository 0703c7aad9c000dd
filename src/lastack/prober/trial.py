"""One connection of a path test: what it is to do, and what each end and both together saw of it.

Waits are nanoseconds. The *sender* is the end that sends after the wait; it also sends the last packet before it (an
acknowledgment), so that its own clock measures the silence as a box on the path sees it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import Any, Self

from lastack.model.errors import UsageError


class Side(StrEnum):
    """An end of the connection; the client opened it."""

    client = "client"
    server = "server"

    @property
    def other(self) -> Side:
        """The end at the other side."""
        return Side.server if self is Side.client else Side.client


class Via(StrEnum):
    """How the connection of a trial comes to be."""

    connect = "connect"  # the end that runs the test opens it
    reverse = "reverse"  # the responder opens it
    raw = "raw"  # segments that neither kernel knows of


class Before(StrEnum):
    """What has been said on a raw connection before the wait."""

    opening = "opening"  # part of a handshake
    fins = "fins"  # a handshake, data both ways, both FINs and their ACKs
    rst = "rst"  # a handshake, data both ways, a RST of the client
    crossing = "crossing"  # the same as fins, but neither FIN has seen the other
    rst_exact = "rst_exact"  # a handshake, data both ways, a RST of the sender with the number that is due
    rst_window = "rst_window"  # the same with a number further on in the window
    rst_outside = "rst_outside"  # the same with a number outside the window


class Step(StrEnum):
    """The raw segment that is sent after the wait."""

    syn_ack = "syn_ack"
    ack = "ack"
    data = "data"
    fin = "fin"
    rst = "rst"


@dataclass(frozen=True, slots=True)
class Raw:
    """What a raw trial does."""

    before: Before
    step: Step


class Outcome(StrEnum):
    """What became of the data sent after the wait.

    `silent`: never acknowledged. `reset`: a RST answered it. `reset_early`: a RST came while waiting, before
    anything was sent. `unheard`: acknowledged, though the other end never got it (a proxy, or a box that answers).
    `failed`: the trial never came to its wait.
    """

    kept = "kept"
    silent = "silent"
    reset = "reset"
    reset_early = "reset_early"
    unheard = "unheard"
    failed = "failed"


@dataclass(frozen=True, slots=True)
class Trial:
    """What one connection is to do.

    Attributes:
        number: Unique in a run.
        question: Name of the question it serves.
        sender: Who sends after the wait.
        closer: Who sends FIN before the wait; None leaves both directions open.
        wait_ns: Silence (or time of talking) before the last data.
        talk_ns: Interval at which the sender sends while it waits; 0 is silent.
        via: How its connection comes to be.
        raw: What raw segments do, None unless `via` is raw.
    """

    number: int
    question: str
    sender: Side
    closer: Side | None
    wait_ns: int
    talk_ns: int = 0
    via: Via = Via.connect
    raw: Raw | None = None

    def __post_init__(self) -> None:
        if (self.raw is not None) != (self.via is Via.raw):
            raise UsageError("a raw trial says what it does, and no other one")
        if self.closer is self.sender:
            raise UsageError("an end that has sent FIN cannot send data: sender and closer must differ")
        if self.wait_ns < 0 or self.talk_ns < 0:
            raise UsageError("a wait is not negative")

    def to_json(self) -> dict[str, Any]:
        """Return the members as the request carries them."""
        return asdict(self) | {
            "sender": self.sender.value,
            "closer": self.closer.value if self.closer else None,
            "via": self.via.value,
            "raw": [self.raw.before.value, self.raw.step.value] if self.raw else None,
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Return the trial of a request.

        Raises:
            UsageError: A member is missing or has an impossible value.
        """
        try:
            closer, raw = values["closer"], values.get("raw")
            numbers = [values[name] for name in ("number", "wait_ns", "talk_ns")]
            if not all(type(n) is int and 0 <= n < 1 << 62 for n in numbers):
                raise ValueError("a number is out of range")
            return cls(
                number=numbers[0],
                question=str(values["question"])[:40],
                sender=Side(values["sender"]),
                closer=Side(closer) if closer is not None else None,
                wait_ns=numbers[1],
                talk_ns=numbers[2],
                via=Via(values.get("via", Via.connect)),
                raw=Raw(Before(raw[0]), Step(raw[1])) if raw else None,
            )
        except (KeyError, ValueError, TypeError, IndexError) as error:
            raise UsageError(f"this is no trial: {error}") from error


def alike(queue: deque[Trial], most: int) -> list[Trial]:
    """Take trials off the front of a queue that differ in number and wait only."""
    first = queue.popleft()
    out = [first]
    while queue and len(out) < most:
        if replace(queue[0], number=first.number, wait_ns=first.wait_ns) != first:
            break
        out.append(queue.popleft())
    return out


@dataclass(slots=True)
class EndReport:
    """What one end saw of a trial; times count from the start of the wait, in ns of that end's clock.

    Attributes:
        number: The trial.
        outcome: The sender's verdict; None at the receiver, and at a sender that is not done.
        waited_ns: Sender: measured silence before the last data, or before the chunk that was not answered.
        died_ns: When a RST came, or when the first unanswered chunk was sent; None if neither.
        latency_ns: From that data to the RST.
        chunks: Data received (receiver) or acknowledged (sender), in chunks.
        last: Receiver: the last chunk came.
        reset: A RST was seen by this end.
        retransmitted: Segments this end had sent again before the wait began: the sample is bad.
        over: Nothing more will change.
    """

    number: int
    outcome: Outcome | None = None
    waited_ns: int = 0
    died_ns: int | None = None
    latency_ns: int | None = None
    chunks: int = 0
    last: bool = False
    reset: bool = False
    retransmitted: int = 0
    over: bool = False
    error: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the members as the report carries them."""
        return asdict(self) | {"outcome": self.outcome.value if self.outcome else None}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Return the report of a responder.

        Raises:
            UsageError: A member is missing or has an impossible value.
        """
        try:
            outcome = values["outcome"]
            numbers = {
                name: values[name]
                for name in ("number", "waited_ns", "died_ns", "latency_ns", "chunks", "retransmitted")
            }
            if not all(n is None or type(n) is int for n in numbers.values()):
                raise ValueError("a number is none")
            return cls(
                **numbers,
                outcome=Outcome(outcome) if outcome is not None else None,
                last=bool(values["last"]),
                reset=bool(values["reset"]),
                over=bool(values["over"]),
                error=str(values["error"])[:200],
            )
        except (KeyError, ValueError, TypeError) as error:
            raise UsageError(f"this is no report of a responder: {error}") from error


@dataclass(frozen=True, slots=True)
class Sample:
    """What both ends together saw of one trial.

    Attributes:
        trial: What it was to do.
        outcome: What became of the data.
        waited_ns: Measured silence (or time of talking) before the data.
        died_ns: Of a talking trial that died, or a RST while waiting: when; else None.
        sender_reset: The sender saw a RST.
        receiver_reset: The receiver saw a RST.
        latency_ns: From the data to the RST.
        heard: The last data is known to have reached the receiver.
        bad: Why the sample proves nothing, empty if it does: loss before the wait, a failed opening.
    """

    trial: Trial
    outcome: Outcome
    waited_ns: int
    died_ns: int | None = None
    sender_reset: bool = False
    receiver_reset: bool = False
    latency_ns: int | None = None
    heard: bool = False
    bad: str = ""

    @property
    def kept(self) -> bool:
        """Whether the connection still worked."""
        return self.outcome is Outcome.kept


def combine(trial: Trial, sender: EndReport, receiver: EndReport | None) -> Sample:
    """Return what the reports of both ends say together.

    Args:
        trial: What was to be done.
        sender: Report of the end that sent.
        receiver: Report of the other; None when it cannot be had, then the sender's word counts.
    """
    outcome = sender.outcome or Outcome.failed
    if trial.raw is not None:
        outcome = _arrived(outcome, receiver)
    bad = (sender.error or (receiver.error if receiver else "")) if outcome is Outcome.failed else ""
    retransmitted = sender.retransmitted + (receiver.retransmitted if receiver else 0)
    if not bad and retransmitted:
        bad = f"{retransmitted} segments were repeated before the wait: a box may take a repeated FIN for the second"
    if outcome is Outcome.kept and receiver is not None and receiver.over and not receiver.last:
        outcome = Outcome.unheard
    return Sample(
        trial=trial,
        outcome=outcome,
        waited_ns=sender.waited_ns,
        died_ns=sender.died_ns,
        sender_reset=sender.reset,
        receiver_reset=bool(receiver and receiver.reset),
        latency_ns=sender.latency_ns,
        heard=bool(receiver and receiver.last),
        bad=bad,
    )


def _arrived(outcome: Outcome, receiver: EndReport | None) -> Outcome:
    """Return what became of a raw segment: only who should get it can tell."""
    if outcome is Outcome.failed or receiver is None or receiver.error:
        return Outcome.failed
    return Outcome.kept if receiver.last else outcome
