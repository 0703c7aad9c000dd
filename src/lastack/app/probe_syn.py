"""Half-open probes from the command line: a few targets again and again, or a whole network once."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from lastack.app.monitor_http import split_target
from lastack.app.probe import allow_descriptors
from lastack.model.errors import UsageError
from lastack.prober.asker import best_asker
from lastack.prober.loop import Loop
from lastack.prober.monitor import look_up
from lastack.prober.outcome import Opening, Result

MOST_TARGETS = 1 << 20


@dataclass(frozen=True, slots=True)
class SynTarget:
    """What is asked: a name as it was given, its address, its port."""

    name: str
    address: str
    port: int


@dataclass(slots=True)
class Tally:
    """The answers of one target."""

    results: dict[Opening, int] = field(default_factory=dict)
    rtts_ns: list[int] = field(default_factory=list)

    def take(self, result: Result) -> None:
        """Count an answer."""
        self.results[result.opening] = self.results.get(result.opening, 0) + 1
        if result.rtt_ns is not None:
            self.rtts_ns.append(result.rtt_ns)

    @property
    def asked(self) -> int:
        """Probes sent."""
        return sum(self.results.values())

    @property
    def up(self) -> int:
        """Probes answered by SYN-ACK."""
        return self.results.get(Opening.up, 0)


def expand(words: tuple[str, ...], version: int = 0) -> list[SynTarget]:
    """Return the targets that words name: `host:port`, `10.0.0.0/24:443`, `[2001:db8::/120]:80`.

    Raises:
        UsageError: A word has another form, a name has no address, or there are too many.
    """
    targets: list[SynTarget] = []
    for word in words:
        host, port = split_target(word)
        for address in _addresses(host, version):
            name = (
                word if "/" not in host else f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
            )
            targets.append(SynTarget(name, address, port))
            if len(targets) > MOST_TARGETS:
                raise UsageError(f"more than {MOST_TARGETS:,} targets; ask for fewer at once")
    return targets


def _addresses(host: str, version: int) -> Iterator[str]:
    if "/" in host:
        try:
            network = ipaddress.ip_network(host, strict=False)
        except ValueError as error:
            raise UsageError(f"{host}: {error}") from error
        hosts = network if network.num_addresses <= 2 else network.hosts()
        yield from map(str, hosts)
        return
    address = look_up(host, version)
    if not address:
        raise UsageError(f"{host}: no such name, or no address of the wanted family")
    yield address


def ask_targets(
    targets: list[SynTarget],
    count: int,
    interval_ns: int,
    timeout_ns: int,
    method: str,
    told: Callable[[SynTarget, int, Result], None],
    warned: Callable[[str], None],
) -> dict[SynTarget, Tally]:
    """Ask every target so often and return the tallies; an interrupt ends it early.

    Args:
        targets: Whom.
        count: Rounds; 0 goes on until interrupted.
        interval_ns: From one round to the next.
        timeout_ns: For one answer.
        method: `syn`, `connect` or `auto`.
        told: Called with each answer and the number of its round, from 1.
        warned: Called with a line when the method is not the one hoped for.

    Raises:
        AccessError: `syn` is wanted and not allowed.
    """
    allow_descriptors(4096)
    loop = Loop()
    tallies = {target: Tally() for target in targets}
    asker, why = best_asker(loop, method)
    if why:
        warned(f"{why}. Whole handshakes instead: the application may see a connection")
    live = len(targets)

    def start(target: SynTarget, number: int, due_ns: int) -> None:
        def done(result: Result) -> None:
            nonlocal live
            tallies[target].take(result)
            told(target, number, result)
            if count and number >= count:
                live -= 1
                if not live:
                    loop.stop()
                return
            due = max(due_ns + interval_ns, loop.now())
            loop.at(due, lambda: start(target, number + 1, due))

        asker.ask(target.address, target.port, timeout_ns, done)

    try:
        now = loop.now()
        for target in targets:
            start(target, 1, now)
        if live:
            loop.run()
    except KeyboardInterrupt:
        pass
    finally:
        asker.close()
        loop.close()
    return tallies
