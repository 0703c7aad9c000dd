"""Half-open probes from the command line: a few targets again and again, or a whole network once."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from lastack.model.errors import AccessError, UsageError
from lastack.prober.address import look_up, split_target
from lastack.prober.asker import Asker, best_asker
from lastack.prober.loop import Loop, allow_descriptors
from lastack.prober.outcome import Opening, Result

MOST_TARGETS = 1 << 20
#: From so many targets on, what it costs to lay them out in columns is won back.
_COLUMNS_FROM = 256
RATE = 20_000


class SynTarget(NamedTuple):
    """What is asked: a name as it was given, its address, its port."""

    name: str
    address: str
    port: int


@dataclass(slots=True)
class Tally:
    """The answers of one target."""

    results: dict[Opening, int] = field(default_factory=dict)
    rtts_ns: list[int] = field(default_factory=list)

    def take(self, opening: Opening, rtt_ns: int | None) -> None:
        """Count an answer."""
        self.results[opening] = self.results.get(opening, 0) + 1
        if rtt_ns is not None:
            self.rtts_ns.append(rtt_ns)

    @property
    def asked(self) -> int:
        """Probes sent."""
        return sum(self.results.values())

    @property
    def up(self) -> int:
        """Probes answered by SYN-ACK."""
        return self.results.get(Opening.up, 0)


#: Gets a target, the number of its round (from 1), its result, and the round-trip time in ns or None.
Told = Callable[[SynTarget, int, Result, "int | None"], None]


@dataclass(frozen=True, slots=True)
class Asking:
    """How targets are asked.

    Attributes:
        count: Rounds; 0 goes on until interrupted.
        interval_ns: From one round to the next.
        timeout_ns: For one answer.
        method: `syn`, `connect` or `auto`.
        rate: SYNs sent a second.
    """

    count: int = 1
    interval_ns: int = 1_000_000_000
    timeout_ns: int = 2_000_000_000
    method: str = "auto"
    rate: int = RATE


def expand(words: Sequence[str], version: int = 0) -> list[SynTarget]:
    """Return the targets that words name: `host:port`, `10.0.0.0/24:443`, `[2001:db8::/120]:80`; none twice.

    Raises:
        UsageError: A word has another form, a name has no address, or there are too many.
    """
    targets: dict[SynTarget, None] = {}
    for word in words:
        host, port = split_target(word)
        if "/" not in host:
            address = look_up(host, version)
            if not address:
                raise UsageError(f"{host}: no such name, or no address of the wanted family")
            targets[SynTarget(word, address, port)] = None
        else:
            targets |= dict.fromkeys(_network(host, port))
        if len(targets) > MOST_TARGETS:
            raise UsageError(f"more than {MOST_TARGETS:,} targets; ask for fewer at once")
    return list(targets)


def _network(text: str, port: int) -> Iterator[SynTarget]:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise UsageError(f"{text}: {error}") from error
    if network.num_addresses > MOST_TARGETS + 2:
        raise UsageError(
            f"{text}: {network.num_addresses:,} addresses, more than {MOST_TARGETS:,}; ask for fewer at once"
        )
    if network.version == 6:
        hosts = network if network.num_addresses <= 2 else network.hosts()
        for address in map(str, hosts):
            yield SynTarget(f"[{address}]:{port}", address, port)
        return
    first, last = int(network.network_address), int(network.broadcast_address)
    if network.num_addresses > 2:
        first, last = first + 1, last - 1
    for n in range(first, last + 1):
        written = f"{n >> 24}.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}"
        yield SynTarget(f"{written}:{port}", written, port)


def ask_targets(
    targets: Sequence[SynTarget], asking: Asking, told: Told, warned: Callable[[str], None]
) -> dict[SynTarget, Tally]:
    """Ask every target so often and return the tallies; an interrupt ends it early.

    Args:
        targets: Whom; none twice.
        asking: How.
        told: Called with each answer.
        warned: Called with a line when the method is not the one hoped for.

    Raises:
        AccessError: `syn` is wanted and not allowed.
    """
    tallies = {target: Tally() for target in targets}

    def take(target: SynTarget, number: int, result: Result, rtt_ns: int | None) -> None:
        tallies[target].take(result.opening, rtt_ns)
        told(target, number, result, rtt_ns)

    try:
        if not _ask_in_columns(targets, asking, take):
            _ask_singly(targets, asking, take, warned)
    except KeyboardInterrupt:
        pass
    return tallies


def _ask_in_columns(targets: Sequence[SynTarget], asking: Asking, take: Told) -> bool:
    """Ask many IPv4 targets; return whether that was possible, and if not ask nothing."""
    if asking.method == "connect" or len(targets) < _COLUMNS_FROM:
        return False
    if any(":" in target.address for target in targets):
        return False
    import numpy as np

    from lastack.prober import syn_batch
    from lastack.prober.sweep import Sweep

    if not syn_batch.possible():
        return False
    written = ".".join([target.address for target in targets])
    octets = np.array(written.split("."), np.uint32).reshape(-1, 4)
    addresses = (octets << np.array([24, 16, 8, 0], np.uint32)).sum(axis=1, dtype=np.uint32)
    ports = np.array([target.port for target in targets], np.uint16)
    number = 1

    def found(which: np.ndarray[tuple[int], np.dtype[np.intp]], result: Result, rtts: syn_batch.I64) -> None:
        for index, rtt in zip(which.tolist(), rtts.tolist(), strict=True):
            take(targets[index], number, result, rtt if rtt >= 0 else None)

    while True:
        began = time.monotonic_ns()
        try:
            sweep = Sweep(addresses, ports, asking.timeout_ns, found, rate=asking.rate)
        except AccessError:
            if asking.method == "syn":
                raise
            return False
        try:
            sweep.run()
        finally:
            sweep.close()
        if number == asking.count:
            return True
        number += 1
        time.sleep(max(began + asking.interval_ns - time.monotonic_ns(), 0) / 1e9)


def _ask_singly(
    targets: Sequence[SynTarget], asking: Asking, take: Told, warned: Callable[[str], None]
) -> None:
    allow_descriptors(4096)
    loop = Loop()
    asker, why = best_asker(loop, asking.method)
    if why:
        warned(f"{why}. Whole handshakes instead: the application may see a connection")
    try:
        _Rounds(loop, asker, asking, take).run(targets)
    finally:
        asker.close()
        loop.close()


class _Rounds:
    """Asks each target again and again, each at its own pace."""

    def __init__(self, loop: Loop, asker: Asker, asking: Asking, take: Told) -> None:
        self._loop = loop
        self._asker = asker
        self._asking = asking
        self._take = take
        self._live = 0

    def run(self, targets: Sequence[SynTarget]) -> None:
        self._live = len(targets)
        now = self._loop.now()
        for target in targets:
            self._start(target, 1, now)
        if self._live:
            self._loop.run()

    def _start(self, target: SynTarget, number: int, due_ns: int) -> None:
        def done(result: Result) -> None:
            self._take(target, number, result, result.rtt_ns)
            if number == self._asking.count:
                self._live -= 1
                if not self._live:
                    self._loop.stop()
                return
            due = max(due_ns + self._asking.interval_ns, self._loop.now())
            self._loop.at(due, lambda: self._start(target, number + 1, due))

        self._asker.ask(target.address, target.port, self._asking.timeout_ns, done)
