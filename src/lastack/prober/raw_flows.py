"""Both ends' raw trials at work: segments to the right trial, its answers to the wire.

A SYN has no room to say which trial it is of, and boxes may change its ports and its sequence number. So its window
says it: the responder gives each announced trial a number, and the SYN carries that as its window.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from secrets import randbits

from lastack.model.errors import UsageError
from lastack.prober.loop import Loop
from lastack.prober.raw_end import Command, Emit, RawEnd
from lastack.prober.raw_port import QuietPort, RawPort, plain
from lastack.prober.segment import ACK, RST, SYN, Segment
from lastack.prober.trial import EndReport, Outcome, Side, Trial, alike

#: Small windows would keep the server from sending; 65,535 is every other segment's.
FIRST_TAG, LAST_TAG = 1024, 61_440
#: An announced SYN must come within this time.
_COME_NS = 15_000_000_000
_LINGER_NS = 1_000_000_000
_PUMP_NS = 4_000_000

Over = Callable[[EndReport], None]


class _Flow:
    """One raw trial of this end."""

    def __init__(
        self, loop: Loop, end: RawEnd, port: RawPort, far: tuple[str, int], own: int, over: Over
    ) -> None:
        self.end = end
        self.window = 65_535
        self._loop = loop
        self._port = port
        self._far = far
        self._own = own
        self._over: Over | None = over

    def do(self, commands: Sequence[Command]) -> None:
        for command in commands:
            if isinstance(command, Emit):
                window = self.window if command.flags == SYN else 65_535
                segment = Segment(
                    self._own, self._far[1], command.seq, command.ack, command.flags, window, command.payload
                )
                if why := self._port.send(self._far[0], segment):
                    self.end.stop(why)
            else:
                self._loop.at(command.at_ns, self._tick)
        self.check()

    def take(self, segment: Segment) -> None:
        self.do(self.end.received(segment, self._loop.now()))

    def _tick(self) -> None:
        if self._over is not None:
            self.do(self.end.tick(self._loop.now()))

    def drop(self) -> None:
        """Say and tell nothing any more."""
        self._over = None

    def check(self) -> None:
        if self.end.report.over and self._over is not None:
            over, self._over = self._over, None
            over(self.end.report)


class RawClient:
    """The raw trials of the end that runs the test.

    Args:
        loop: The loop.
        version: 4 or 6.
        far: Address and raw port of the responder.
        announce: Tells the responder of trials, and calls back with the first one's number on the wire, or why not.
        over: Called with each report; may be exchanged.
        began: Called with the number of each trial whose SYN is sent.
        source: Local address, empty for the kernel's choice.
        rate: SYNs a second.

    Raises:
        AccessError: CAP_NET_RAW is missing.
    """

    near = Side.client

    def __init__(
        self,
        loop: Loop,
        version: int,
        far: tuple[str, int],
        announce: Callable[[Sequence[Trial], Callable[[int, str], None]], None],
        over: Over,
        began: Callable[[int], None],
        source: str = "",
        rate: int = 500,
    ) -> None:
        self._loop = loop
        self._far = far
        self._announce = announce
        self.over = over
        self._began = began
        self._source = source or ("::" if version == 6 else "0.0.0.0")
        self._each_ns = 10**9 // rate
        self._at_once = max(1, min(100, 2 * rate))
        self._raw = RawPort(version, far[1], far=True, source=source)
        self._queue: deque[Trial] = deque()
        self._tagged: deque[tuple[Trial, int]] = deque()
        self._flows: dict[int, _Flow] = {}  # by own port
        self._ports: dict[int, tuple[QuietPort, int]] = {}  # by trial
        self._lingering: deque[QuietPort] = deque()
        self._asking = False
        loop.watch(self._raw.fileno(), self._receive)

    @property
    def live(self) -> int:
        """Trials on the wire."""
        return len(self._flows)

    @property
    def waiting(self) -> int:
        """Trials that are not on the wire yet."""
        return len(self._queue) + len(self._tagged) + self._asking

    def start(self, trials: Sequence[Trial]) -> None:
        """Announce trials and begin them, one after another."""
        self._queue.extend(sorted(trials, key=lambda trial: trial.question))
        self._next()

    def _next(self) -> None:
        if self._asking or self._tagged or not self._queue:
            return
        batch = alike(self._queue, self._at_once)
        self._asking = True

        def answered(tag: int, why: str) -> None:
            self._asking = False
            if why:
                for trial in batch:
                    self.over(EndReport(trial.number, outcome=Outcome.failed, error=why, over=True))
            else:
                self._tagged.extend((trial, tag + index) for index, trial in enumerate(batch))
                self._pump()
            self._next()

        self._announce(batch, answered)

    def _pump(self) -> None:
        now = self._loop.now()
        for _ in range(max(_PUMP_NS // self._each_ns, 1)):
            if self._tagged:
                self._begin(*self._tagged.popleft())
        if self._tagged:
            self._loop.at(now + max(self._each_ns, _PUMP_NS), self._pump)
        else:
            self._next()

    def _begin(self, trial: Trial, tag: int) -> None:
        try:
            port = QuietPort(self._source)
        except (UsageError, OSError) as error:
            self.over(EndReport(trial.number, outcome=Outcome.failed, error=str(error), over=True))
            return
        end = RawEnd(trial, Side.client, randbits(32))
        self._ports[trial.number] = port, port.port
        flow = self._flows[port.port] = _Flow(self._loop, end, self._raw, self._far, port.port, self._ended)
        flow.window = tag
        self._began(trial.number)
        flow.do(end.begin(self._loop.now()))

    def _receive(self, events: int) -> None:
        more = True
        while more:
            more = False
            for address, segment in self._raw.read():
                more = True
                flow = self._flows.get(segment.dport)
                if flow is not None and address == self._far[0]:
                    flow.take(segment)

    def _ended(self, report: EndReport) -> None:
        self._release(report.number)
        self.over(report)

    def _release(self, number: int) -> None:
        held = self._ports.pop(number, None)
        if held is not None:
            self._flows.pop(held[1]).drop()
            self._lingering.append(held[0])
            self._loop.at(self._loop.now() + _LINGER_NS, self._let_go)

    def _let_go(self) -> None:
        if self._lingering:
            self._lingering.popleft().close()

    def finish(self, number: int) -> None:
        """End a trial whose other end is done: what has not come by now never comes."""
        held = self._ports.get(number)
        if held is not None:
            flow = self._flows[held[1]]
            flow.end.finish()
            flow.check()

    def stop(self, number: int, why: str) -> int:
        """Give a trial up; return 0, as raw trials do not talk."""
        self._queue = deque(trial for trial in self._queue if trial.number != number)
        self._tagged = deque(each for each in self._tagged if each[0].number != number)
        self._release(number)
        return 0

    def close(self) -> None:
        """Give every port back."""
        self._queue.clear()
        self._tagged.clear()
        for port in [*self._lingering, *(held for held, _ in self._ports.values())]:
            port.close()
        self._lingering.clear()
        self._ports.clear()
        self._flows.clear()
        self._loop.forget(self._raw.fileno())
        self._raw.close()


@dataclass(frozen=True, slots=True)
class _Expected:
    """A trial whose SYN is to come."""

    trial: Trial
    over: Over


class RawServer:
    """The raw trials of a responder: it answers SYNs that were announced over a connection from the same address.

    Args:
        loop: The loop.
        address: Where it listens; `::` is every address of both families.
        port: Its raw port.
        most: Trials at once.
        per_source: Trials at once, of one address.

    Raises:
        AccessError: CAP_NET_RAW is missing.
        UsageError: The port is taken.
    """

    def __init__(self, loop: Loop, address: str, port: int, most: int = 8192, per_source: int = 4096) -> None:
        self._loop = loop
        self._most = most
        self._per_source = per_source
        if address == "::" and not socket.has_dualstack_ipv6():
            address = "0.0.0.0"
        versions = (4, 6) if address == "::" else (6,) if ":" in address else (4,)
        self._quiet = QuietPort(address, port)
        self.port = self._quiet.port
        self._raws: dict[int, RawPort] = {}
        self._expected: dict[tuple[str, int], _Expected] = {}
        self._flows: dict[tuple[str, int], _Flow] = {}
        self._tags: dict[str, int] = {}
        try:
            for version in versions:
                self._open(version)
        except BaseException:
            self.close()
            raise

    def _open(self, version: int) -> None:
        raw = self._raws[version] = RawPort(version, self.port, far=False)
        self._loop.watch(raw.fileno(), lambda events: self._receive(version))

    def expect(self, source: str, trials: Sequence[Trial], over: Over) -> int:
        """Await the SYNs of trials; return the number on the wire of the first, the others follow it.

        Args:
            source: Address from which they will come.
            trials: What they are.
            over: Called with each report.

        Raises:
            UsageError: There are too many at once.
        """
        source = plain(source)
        first = self._tags.get(source, FIRST_TAG)
        if first + len(trials) > LAST_TAG:
            first = FIRST_TAG
        tags = range(first, first + len(trials))
        live = [key[0] for held in (self._expected, self._flows) for key in held]
        full = len(live) + len(trials) > self._most or live.count(source) + len(trials) > self._per_source
        if full or any((source, tag) in self._expected for tag in tags):
            raise UsageError("too many raw trials at once; try later")
        if len(self._tags) > self._most:
            self._tags.clear()
        self._tags[source] = tags.stop
        for tag, trial in zip(tags, trials, strict=True):
            self._expected[source, tag] = _Expected(trial, over)
        self._loop.at(self._loop.now() + _COME_NS, lambda: self._missed(source, tags))
        return first

    def _missed(self, source: str, tags: range) -> None:
        for tag in tags:
            expected = self._expected.pop((source, tag), None)
            if expected is not None:
                number = expected.trial.number
                why = "the SYN did not come, or its window was changed on the way"
                expected.over(EndReport(number, outcome=Outcome.failed, error=why, over=True))

    def _receive(self, version: int) -> None:
        more = True
        while more:
            more = False
            for address, segment in self._raws[version].read():
                more = True
                self._take(version, address, segment)

    def _take(self, version: int, address: str, segment: Segment) -> None:
        key = (address, segment.sport)
        flow = self._flows.get(key)
        if segment.flags & (SYN | ACK | RST) == SYN:
            expected = self._expected.pop((address, segment.window), None)
            if expected is None:
                return
            end = RawEnd(expected.trial, Side.server, randbits(32))

            def over(report: EndReport) -> None:
                if self._flows.get(key) is flow:
                    del self._flows[key]
                expected.over(report)

            flow = self._flows[key] = _Flow(self._loop, end, self._raws[version], key, self.port, over)
            flow.do(end.begin(self._loop.now()))
        if flow is not None:
            flow.take(segment)

    @property
    def live(self) -> int:
        """Trials on the wire."""
        return len(self._flows)

    def close(self) -> None:
        """Give the port back."""
        for raw in self._raws.values():
            self._loop.forget(raw.fileno())
            raw.close()
        self._raws.clear()
        self._quiet.close()
