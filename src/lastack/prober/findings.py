"""What the samples of a question say: the bound, the kind of timer, and what happens when it has passed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from lastack.prober.plan import OUTLIVES, Inquiry
from lastack.prober.question import Topic
from lastack.prober.search import Bound
from lastack.prober.trial import Outcome, Sample, Via


class Kind(StrEnum):
    """What keeps a connection alive."""

    none = "none"  # no timer found up to the longest wait
    idle = "idle"  # talk restarts it
    absolute = "absolute"  # it runs whatever is sent
    unknown = "unknown"


class Expiry(StrEnum):
    """What an end sees of a path that has forgotten its connection."""

    none = "none"
    silent = "silent"  # data is swallowed
    reset_sender = "reset_sender"  # data is answered by RST; the other end hears nothing
    reset_both = "reset_both"  # both ends get a RST
    reset_at_expiry = "reset_at_expiry"  # a RST comes without any data being sent
    one_way = "one_way"  # data arrives, its acknowledgment does not
    answered = "answered"  # something acknowledges data that never arrives
    mixed = "mixed"


#: Shares below this are noise beside the outcome that most samples had.
_MAJORITY = 0.8
_EDGE_NS = 50_000_000
#: How far a talker's death may lie from the silent bound, as a share of it, to be of the same timer.
_SAME = 0.25


@dataclass(frozen=True, slots=True)
class Finding:
    """The answer to one question.

    Attributes:
        name: Of the question.
        title: For people.
        topic: What it is about.
        via: How its connections came to be.
        bound: Between which waits the path begins to break.
        kind: What keeps the connection alive.
        expiry: What is seen afterwards.
        longest_ns: Longest wait that was tried.
        samples: Trials that counted.
        bad: Trials that proved nothing, by reason.
        reset_latency_ns: Median time from data to the RST, None without.
        rtt_ns: Usual round-trip time of the path, to compare with it.
        why: How the kind was decided.
        rst_seen: Trials that counted in which the receiver got a RST.
        expiries: What was seen how often well beyond the bound.
    """

    name: str
    title: str
    topic: Topic
    via: Via
    bound: Bound
    kind: Kind
    expiry: Expiry
    longest_ns: int
    samples: int
    bad: dict[str, int] = field(default_factory=dict)
    reset_latency_ns: int | None = None
    rtt_ns: int | None = None
    why: str = ""
    rst_seen: int = 0
    expiries: dict[str, int] = field(default_factory=dict)

    @property
    def conclusive(self) -> bool:
        """Whether enough trials counted to say anything."""
        bad = sum(self.bad.values())
        return self.samples > 0 and bad <= 3 * self.samples and self.bound.doubtful * 10 <= self.samples


def conclude(inquiry: Inquiry, longest_ns: int, rtt_ns: int | None = None) -> Finding:
    """Return the answer that the samples so far give.

    Args:
        inquiry: The question and its samples.
        longest_ns: Longest wait of the test.
        rtt_ns: Usual round-trip time of the path.
    """
    bound = inquiry.search.bound()
    silent = [s for s in inquiry.samples if not s.trial.talk_ns]
    good = [s for s in silent if not s.bad and s.outcome is not Outcome.failed]
    bad = Counter(s.bad or "failed" for s in inquiry.samples if s.bad or s.outcome is Outcome.failed)
    kind, why = _kind(inquiry, bound)
    broken = [s for s in good if not s.kept and (bound.broken_ns is None or s.waited_ns >= bound.broken_ns)]
    expiries = Counter(_expiry_of(sample) for sample in _clearly(broken, bound))
    latencies = sorted(s.latency_ns for s in broken if s.latency_ns is not None)
    return Finding(
        name=inquiry.question.name,
        title=inquiry.question.title,
        topic=inquiry.question.topic,
        via=inquiry.question.via,
        bound=bound,
        kind=kind,
        expiry=_expiry(expiries),
        expiries={expiry.value: number for expiry, number in expiries.most_common()},
        longest_ns=max((s.waited_ns for s in good), default=0) if bound.broken_ns is None else longest_ns,
        samples=len(good),
        bad=dict(bad.most_common(5)),
        reset_latency_ns=latencies[len(latencies) // 2] if latencies else None,
        rtt_ns=rtt_ns,
        why=why,
        rst_seen=sum(sample.receiver_reset for sample in good),
    )


def _kind(inquiry: Inquiry, bound: Bound) -> tuple[Kind, str]:
    dead = [s for s in inquiry.talkers if not s.kept and s.died_ns is not None]
    if bound.broken_ns is None:
        if bound.kept_ns is None:
            return Kind.unknown, "no trial counted"
        if len(dead) * 2 > len(inquiry.talkers):
            return Kind.unknown, "silent connections were kept, talking ones were not"
        return Kind.none, "nothing broke up to the longest wait"
    if not inquiry.question.talks:
        return Kind.unknown, "raw trials do not talk"
    if not inquiry.talkers:
        return Kind.unknown, "no talking connection was tried"
    low = bound.kept_ns or 0
    lived = [s for s in inquiry.talkers if s.kept and s.waited_ns >= bound.broken_ns * OUTLIVES]
    with_timer = [
        s
        for s in dead
        if s.died_ns is not None
        and low * (1 - _SAME) - s.trial.talk_ns
        <= s.died_ns
        <= bound.broken_ns * (1 + _SAME) + 2 * s.trial.talk_ns
    ]
    # a talk interval near the bound or above it dies of an idle timer as well
    telling = [s for s in with_timer if s.trial.talk_ns < bound.broken_ns / 2]
    # no absolute timer can be outlived, but loss can kill a talker
    if lived and len(lived) >= len(telling):
        return Kind.idle, f"{len(lived)} of {len(inquiry.talkers)} talking connections outlived it"
    if telling and not lived:
        return (
            Kind.absolute,
            f"{len(telling)} of {len(inquiry.talkers)} talking connections died with the silent ones",
        )
    return (
        Kind.unknown,
        f"of {len(inquiry.talkers)} talking connections {len(lived)} outlived it, {len(dead)} died",
    )


def _clearly(broken: list[Sample], bound: Bound) -> list[Sample]:
    """Return the samples well beyond the bound: close to it a packet and the expiry may pass each other."""
    edge = (bound.broken_ns or 0) + max(_EDGE_NS, (bound.broken_ns or 0) // 100)
    return [sample for sample in broken if sample.trial.wait_ns > edge] or broken


def _expiry(seen: Counter[Expiry]) -> Expiry:
    if not seen:
        return Expiry.none
    most, n = seen.most_common(1)[0]
    others = seen.total() - n
    # one that differs among several is an accident of its own
    return most if n >= _MAJORITY * seen.total() or (others == 1 and n > 1) else Expiry.mixed


def _expiry_of(sample: Sample) -> Expiry:
    match sample.outcome:
        case Outcome.unheard:
            return Expiry.answered
        case Outcome.reset_early:
            return Expiry.reset_at_expiry
        case Outcome.reset:
            return Expiry.reset_both if sample.receiver_reset else Expiry.reset_sender
    if sample.heard:
        return Expiry.one_way
    return Expiry.reset_at_expiry if sample.receiver_reset else Expiry.silent
