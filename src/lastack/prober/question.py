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
    odd = "odd"  # RSTs with odd numbers, closing at the same time: whether, not how long


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
        waits_ns: Shortest and longest wait where the test's own are not meant.
        trials: How many at once, where that is fixed; 0 leaves it to the test.
    """

    name: str
    title: str
    topic: Topic
    closer: Side | None
    sender: Side
    via: Via = Via.connect
    raw: Raw | None = None
    waits_ns: tuple[int, int] | None = None
    trials: int = 0

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


#: A moment in which nothing should be forgotten: what fails then is not let through at all.
_MOMENT_NS = (250_000_000, 350_000_000)
_MOMENT_TRIALS = 5


def _odd(name: str, title: str, sender: Side, before: Before) -> Question:
    raw = Raw(before, Step.data)
    return Question(
        name, title, Topic.odd, None, sender, Via.raw, raw, waits_ns=_MOMENT_NS, trials=_MOMENT_TRIALS
    )


_RESETS = {
    Before.rst_exact: "exact number",
    Before.rst_window: "another number in the window",
    Before.rst_outside: "a number outside the window",
}
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
    *(
        _odd(f"{before}_{side}", f"RST of the {side}, {text}", side, before)
        for before, text in _RESETS.items()
        for side in Side
    ),
    _odd("crossing_fins", "both close at the same time", Side.client, Before.crossing),
)
QUESTIONS: tuple[Question, ...] = FORWARD + REVERSE + RAW
