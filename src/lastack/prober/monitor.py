"""Asks many targets again and again, each at its own pace, and tells what changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from lastack.prober.address import look_up
from lastack.prober.asker import Asker
from lastack.prober.health import Change, Health, Schedule
from lastack.prober.loop import Loop
from lastack.prober.outcome import Opening, Result

#: A name is looked up again after this time.
RESOLVE_NS = 300 * 10**9


@dataclass(frozen=True, slots=True)
class Watched:
    """A target of a monitor.

    Attributes:
        name: Unique; the label in metrics.
        host: Name or address.
        port: TCP port.
        group: For grouping, empty without.
        module: How it is asked.
        version: 4, 6, or 0 for what the name gives first.
        schedule: When it is asked and when its state changes.
    """

    name: str
    host: str
    port: int
    group: str = ""
    module: str = "syn"
    version: int = 0
    schedule: Schedule = field(default_factory=Schedule)


#: Looks a name up (host, IP version or 0) and calls back with its address, empty without one, in the loop's thread.
Resolve = Callable[[str, int, Callable[[str], None]], None]


def look_up_here(host: str, version: int, found: Callable[[str], None]) -> None:
    """Look a name up and wait for it: what is asked meanwhile waits too."""
    found(look_up(host, version))


Seen = Callable[[Watched, Result, "Change | None"], None]


class Monitor:
    """Keeps asking.

    Args:
        loop: The loop.
        targets: What to ask.
        askers: How, by name of the module.
        seen: Called with each result and the change that it brought.
        resolve: How names are looked up.
    """

    def __init__(
        self,
        loop: Loop,
        targets: Sequence[Watched],
        askers: Mapping[str, Asker],
        seen: Seen,
        resolve: Resolve = look_up_here,
    ) -> None:
        self.health: dict[str, Health] = {}
        self._loop = loop
        self._askers = askers
        self._seen = seen
        self._resolve = resolve
        self._addresses: dict[str, tuple[str, int]] = {}
        now = loop.now()
        for number, target in enumerate(targets):
            self.health[target.name] = Health(target.schedule, now)
            # spread over the first interval, so that no burst leaves the host
            first = now + target.schedule.interval_ns * number // max(len(targets), 1)
            self._later(target, first)

    def _later(self, target: Watched, when_ns: int) -> None:
        self._loop.at(when_ns, lambda: self._ask(target, when_ns))

    def _ask(self, target: Watched, due_ns: int) -> None:
        """Ask a target; its name is looked up now and then, and the old address kept while or if that fails."""
        known, now = self._addresses.get(target.name), self._loop.now()
        if known is not None and now - known[1] <= RESOLVE_NS:
            self._probe(target, due_ns, known[0])
            return
        old = known[0] if known is not None else ""

        def found(address: str) -> None:
            looked = self._loop.now() if address else self._loop.now() - RESOLVE_NS - 1
            self._addresses[target.name] = (address or old, looked)
            if not old:
                self._probe(target, due_ns, address)

        self._resolve(target.host, target.version, found)
        if old:
            self._probe(target, due_ns, old)

    def _probe(self, target: Watched, due_ns: int, address: str) -> None:
        def done(result: Result) -> None:
            self._done(target, due_ns, result)

        if not address:
            done(Result(Opening.error, attempts=0, detail=f"{target.host} has no address"))
            return
        self._askers[target.module].ask(address, target.port, target.schedule.timeout_ns, done)

    def _done(self, target: Watched, due_ns: int, result: Result) -> None:
        now = self._loop.now()
        health = self.health[target.name]
        self._seen(target, result, health.offer(result, now))
        pause = health.pause_ns()
        due = due_ns + pause
        if due < now:  # overloaded, or suspended: do not make up for what was missed
            due = now + pause
        self._later(target, due)
