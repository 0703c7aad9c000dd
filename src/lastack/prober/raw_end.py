"""One end of a raw trial, without sockets: segments and times go in, segments and times come out.

The kernels know nothing of these connections, so either end can be silent where a kernel would repeat itself, and speak
where a kernel would not. Nothing is repeated: a lost segment makes a trial that proves nothing, and it is tried again.
The segment that counts is sent twice, so that one loss is no verdict.

`opening`: client SYN, server SYN-ACK, client ACK; one of the last two comes late.
`fins`: SYN, SYN-ACK, 16 bytes each way, FIN of the client, FIN of the server, ACK; then a late segment of either.
`rst`: the same up to the data, then a RST of the client; then new data of either.
`crossing`: the server's FIN follows its data at once, and the client's FIN answers that data only.
`rst_exact`, `rst_window`, `rst_outside`: the same up to the data, then a RST of the sender, and its new data.
"""

from __future__ import annotations

from dataclasses import dataclass

from lastack.prober.end import Wake
from lastack.prober.segment import ACK, FIN, PSH, RST, SYN, Segment
from lastack.prober.trial import Before, EndReport, Outcome, Side, Step, Trial

DATA = b"lastack raw test"
#: What comes before the wait must be done by then.
OPEN_NS = 3_000_000_000
_AGAIN_NS = 50_000_000
#: How long a sender listens for a RST, and a receiver for what is late on its way.
LISTEN_NS = 1_000_000_000
_MASK = 0xFFFFFFFF
#: How far the number of a RST lies behind the one that is due; the window is 65,535.
_OFFSETS = {Before.rst_exact: 0, Before.rst_window: 1000, Before.rst_outside: 1_000_000}
_FINS = (Before.fins, Before.crossing)


@dataclass(frozen=True, slots=True)
class Emit:
    """Send a segment; the ports are the caller's business."""

    flags: int
    seq: int
    ack: int
    payload: bytes = b""


Command = Emit | Wake


class RawEnd:
    """One end's part of a raw trial.

    Args:
        trial: What is to be done; its `raw` is set.
        side: Which end this is.
        isn: Sequence number of this end's SYN.
    """

    def __init__(self, trial: Trial, side: Side, isn: int) -> None:
        assert trial.raw is not None
        self.trial = trial
        self.side = side
        self.report = EndReport(trial.number)
        self._raw = trial.raw
        self._sends = trial.sender is side
        self._isn = isn
        self._theirs = 0  # next sequence number of the other end
        self._begun_ns = 0
        self._start_ns: int | None = None  # of the wait
        self._sent_ns: int | None = None  # the late segment
        self._spoke = False  # data
        self._shut = False  # FIN or RST
        self._repeated = False

    def begin(self, now_ns: int) -> list[Command]:
        """Begin; the client sends its SYN."""
        self._begun_ns = now_ns
        if self.side is Side.server:
            return [Wake(now_ns + OPEN_NS)]
        if self._raw.step is Step.syn_ack:
            return [Emit(SYN, self._isn, 0), *self._wait(now_ns)]
        return [Emit(SYN, self._isn, 0), Wake(now_ns + OPEN_NS)]

    def received(self, segment: Segment, now_ns: int) -> list[Command]:
        """Take a segment of the other end."""
        if self.report.over:
            return []
        if self._start_ns is not None:
            return self._late(segment, now_ns)
        if segment.flags & RST and not (self._raw.before is Before.rst and self.side is Side.server):
            return self._fail("a RST came before the wait")
        return self._server(segment, now_ns) if self.side is Side.server else self._client(segment, now_ns)

    def _client(self, segment: Segment, now_ns: int) -> list[Command]:
        if segment.flags & (SYN | ACK) == SYN | ACK and not self._spoke:
            self._theirs = segment.seq + 1
            if self._raw.step is Step.ack:
                return self._wait(now_ns)
            self._spoke = True
            return [self._data()]
        if segment.payload and self._spoke and not self._shut:
            self._theirs = segment.seq + len(segment.payload)
            if self._raw.before in _OFFSETS:
                return [*self._reset(), *self._wait(now_ns)]
            self._shut = True
            if self._raw.before is Before.rst:
                return [Emit(RST | ACK, self._end, self._theirs), *self._wait(now_ns)]
            return [self._fin()]
        if segment.flags & FIN and self._shut:
            self._theirs = segment.seq + 1
            return [Emit(ACK, self._end, self._theirs), *self._wait(now_ns)]
        return []

    def _server(self, segment: Segment, now_ns: int) -> list[Command]:
        if segment.flags & SYN:
            self._theirs = segment.seq + 1
            if self._raw.step is Step.syn_ack:
                return self._wait(now_ns)
            answer = Emit(SYN | ACK, self._isn, self._theirs)
            # what this end waits for after its SYN-ACK is the late ACK itself
            return [answer, *self._wait(now_ns)] if self._raw.step is Step.ack else [answer]
        if segment.flags & RST:
            return self._wait(now_ns) if self._spoke else self._fail("a RST came before the wait")
        if segment.payload and not self._spoke:
            self._theirs = segment.seq + len(segment.payload)
            self._spoke = True
            if self._raw.before in _OFFSETS:
                return [self._data(), *self._reset(), *self._wait(now_ns)]
            if self._raw.before is Before.crossing:
                self._shut = True
                return [self._data(), self._fin()]
            return [self._data()]
        if segment.flags & FIN and self._spoke:
            self._theirs = segment.seq + 1
            if self._shut:
                return [Emit(ACK, self._end, self._theirs)]
            self._shut = True
            return [self._fin()]
        if self._shut and segment.flags & ACK and segment.ack == self._end & _MASK:
            return self._wait(now_ns)
        return []

    @property
    def _end(self) -> int:
        """The next sequence number of this end."""
        fin = self._shut and self._raw.before in _FINS
        return self._isn + 1 + (len(DATA) if self._spoke else 0) + fin

    def _data(self) -> Emit:
        return Emit(PSH | ACK, self._isn + 1, self._theirs, DATA)

    def _fin(self) -> Emit:
        return Emit(FIN | ACK, self._isn + 1 + len(DATA), self._theirs)

    def _reset(self) -> list[Command]:
        if not self._sends:
            return []
        return [Emit(RST | ACK, self._end + _OFFSETS[self._raw.before], self._theirs)]

    def _wait(self, now_ns: int) -> list[Command]:
        self._start_ns = now_ns
        wait_ns = self.trial.wait_ns
        return [Wake(now_ns + wait_ns if self._sends else now_ns + wait_ns + OPEN_NS + LISTEN_NS)]

    def _late(self, segment: Segment, now_ns: int) -> list[Command]:
        """Take a segment after the wait has begun: it is the awaited one, or a RST, or an old one."""
        assert self._start_ns is not None
        report = self.report
        if not self._sends and self._awaited(segment):
            report.last = True
            report.waited_ns = now_ns - self._start_ns
            report.over = True
            if self._raw.before is Before.opening and self.side is Side.client:
                return [Emit(RST, self._isn + 1, 0)]  # nobody needs this session any more
            return []
        if not segment.flags & RST:
            return []
        report.reset = True
        report.died_ns = now_ns - self._start_ns
        if not self._sends:
            return []
        report.outcome = Outcome.reset if self._sent_ns is not None else Outcome.reset_early
        if self._sent_ns is None:
            report.waited_ns = report.died_ns
        else:
            report.latency_ns = now_ns - self._sent_ns
        report.over = True
        return []

    def _awaited(self, segment: Segment) -> bool:
        flags = segment.flags
        match self._raw.step:
            case Step.syn_ack:
                return flags & (SYN | ACK) == SYN | ACK
            case Step.ack:
                return flags & (SYN | RST | ACK) == ACK
            case Step.data:
                return bool(segment.payload)
            case Step.fin:
                return bool(flags & FIN)
            case Step.rst:
                return bool(flags & RST)

    def tick(self, now_ns: int) -> list[Command]:
        """Go on at a time that was asked for."""
        if self.report.over:
            return []
        if self._start_ns is None:
            return self._fail("the opening segments got lost") if now_ns >= self._begun_ns + OPEN_NS else []
        if not self._sends:
            limit = self._start_ns + self.trial.wait_ns + OPEN_NS + LISTEN_NS
            self.report.over = now_ns >= limit
            return []
        if self._sent_ns is None:
            if now_ns < self._start_ns + self.trial.wait_ns:
                return []
            self._sent_ns = now_ns
            self.report.waited_ns = self.report.died_ns = now_ns - self._start_ns
            return [self._step(), Wake(now_ns + _AGAIN_NS)]
        if not self._repeated:
            self._repeated = True
            return [self._step(), Wake(self._sent_ns + LISTEN_NS)]
        if now_ns >= self._sent_ns + LISTEN_NS:
            self.report.outcome = Outcome.silent
            self.report.over = True
            if self._raw.step is Step.ack:
                return [Emit(RST | ACK, self._isn + 1, self._theirs)]
        return []

    def _step(self) -> Emit:
        match self._raw.step:
            case Step.syn_ack:
                return Emit(SYN | ACK, self._isn, self._theirs)
            case Step.ack:
                return Emit(ACK, self._isn + 1, self._theirs)
            case Step.data if self._raw.before in _FINS:
                return self._data()
            case Step.data:
                return Emit(PSH | ACK, self._end, self._theirs, DATA)
            case Step.fin:
                return self._fin()
            case Step.rst:
                return Emit(RST | ACK, self._end, self._theirs)

    def finish(self) -> None:
        """End the trial, as the other end is done: what has not come by now never comes."""
        if not self.report.over:
            self.report.over = True
            if self._sent_ns is not None:
                self.report.outcome = Outcome.silent

    def stop(self, why: str) -> None:
        """Give the trial up."""
        if not self.report.over:
            self._fail(why)

    def _fail(self, why: str) -> list[Command]:
        self.report.over = True
        self.report.error = why
        if self._sends:
            self.report.outcome = Outcome.failed
        return []
