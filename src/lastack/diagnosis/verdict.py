"""What a verdict is made of: a sentence, the packets that prove it, how sure it is, and what else it may have been."""

from __future__ import annotations

from dataclasses import dataclass

from lastack.model.enums import Actor, Cause, Harm


@dataclass(frozen=True, slots=True)
class Proof:
    """One packet, or one fact without a packet, that a verdict rests on.

    Attributes:
        packet: Number in the capture, from 1; 0 where the fact is not that of one packet.
        time_ns: When, ns since epoch; None where the fact has no moment.
        shows: What it shows, a sentence without its full stop.
    """

    packet: int
    time_ns: int | None
    shows: str


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another cause that a reader might think of.

    Attributes:
        cause: The other cause.
        possible: Whether nothing speaks against it; else the reason does, and it is less likely.
        reason: Why, a sentence without its full stop.
    """

    cause: Cause
    possible: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why one session ended, in words an on-call engineer understands.

    Attributes:
        cause: The cause.
        title: The cause in a few words.
        sentence: What happened, one or two sentences; "consistent with" where one capture point cannot know.
        confidence: How sure, 0 to 1.
        actor: Who ended it.
        harm: What it cost.
        cost: The harm in words, empty if there is nothing to say.
        proof: Facts in the order of time, the packets that show them first.
        alternatives: What else it may have been, the still possible ones first.
        advice: What to look at next, one sentence each; may be empty.
    """

    cause: Cause
    title: str
    sentence: str
    confidence: float
    actor: Actor
    harm: Harm
    cost: str
    proof: tuple[Proof, ...]
    alternatives: tuple[Alternative, ...]
    advice: tuple[str, ...]
