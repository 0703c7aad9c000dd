"""What a path test can find out: each question is a row of trials that differ in their wait."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from lastack.prober.trial import Before, Raw, Side, Step, Via


class Topic(StrEnum):
    """What a question is about."""

    half_close = "half_close"  # one FIN
    idle = "idle"  # open both ways
    opening = "opening"  # a handshake that is not complete
    closed = "closed"  # both FINs
    reset = "reset"  # a RST


@dataclass(frozen=True, slots=True)
class Question:
    """One thing to find out about a path.

    Attributes:
        name: For files and requests.
        title: For people; the client is the end that opens.
        topic: What it is about.
        closer: Who sends FIN before the wait; None for idle connections and raw trials.
        sender: Who sends after the wait.
        via: How its connections come to be.
        raw: What raw segments do; None for connections of the kernel.
    """

    name: str
    title: str
    topic: Topic
    closer: Side | None
    sender: Side
    via: Via = Via.connect
    raw: Raw | None = None

    @property
    def talks(self) -> bool:
        """Whether connections that talk all the time tell what kind of timer it is."""
        return self.raw is None


def _both(prefix: str, via: Via) -> tuple[Question, ...]:
    return (
        Question(
            f"{prefix}half_close_client", "client closes, server sends", Topic.half_close, Side.client,
            Side.server, via,
        ),
        Question(
            f"{prefix}half_close_server", "server closes, client sends", Topic.half_close, Side.server,
            Side.client, via,
        ),
        Question(f"{prefix}idle_client", "both open, client sends", Topic.idle, None, Side.client, via),
        Question(f"{prefix}idle_server", "both open, server sends", Topic.idle, None, Side.server, via),
    )  # fmt: skip


def _raw(name: str, title: str, topic: Topic, sender: Side, before: Before, step: Step) -> Question:
    return Question(name, title, topic, None, sender, Via.raw, Raw(before, step))


_LATE = {
    Step.data: "sends old data again",
    Step.fin: "sends its FIN again",
    Step.rst: "sends a RST",
}

#: Opened by the end that runs the test.
FORWARD = _both("", Via.connect)
#: Opened by the responder, which is the client then.
REVERSE = _both("reverse_", Via.reverse)
#: Asked with segments that the kernels know nothing of.
RAW: tuple[Question, ...] = (
    _raw(
        "opening_syn", "SYN, then the SYN-ACK late", Topic.opening, Side.server, Before.opening, Step.syn_ack
    ),
    _raw(
        "opening_synack", "SYN-ACK, then the ACK late", Topic.opening, Side.client, Before.opening, Step.ack
    ),
    *(
        _raw(
            f"closed_{step}_{side}",
            f"both FINs, then the {side} {text}",
            Topic.closed,
            side,
            Before.fins,
            step,
        )
        for step, text in _LATE.items()
        for side in Side
    ),
    *(
        _raw(f"reset_{side}", f"RST, then the {side} sends data", Topic.reset, side, Before.rst, Step.data)
        for side in Side
    ),
)
QUESTIONS: tuple[Question, ...] = FORWARD + REVERSE + RAW
