"""A monitor goes on asking while names are looked up, and keeps an old address that cannot be looked up again."""

from __future__ import annotations

from collections.abc import Callable

from lastack.prober import monitor
from lastack.prober.attempt import Done
from lastack.prober.health import Change, Schedule
from lastack.prober.loop import Loop
from lastack.prober.monitor import Monitor, Watched
from lastack.prober.outcome import Opening, Result


class Fake:
    """Says that every target is up, and keeps whom it was asked about."""

    method = "fake"

    def __init__(self) -> None:
        self.asked: list[str] = []

    def ask(self, address: str, port: int, timeout_ns: int, done: Done) -> None:
        self.asked.append(address)
        done(Result(Opening.up, 1))

    def close(self) -> None:
        """Has nothing to give back."""


class Names:
    """Looks names up when it is told to."""

    def __init__(self) -> None:
        self.waiting: list[tuple[str, Callable[[str], None]]] = []

    def __call__(self, host: str, version: int, found: Callable[[str], None]) -> None:
        if host[0].isdigit():
            found(host)
        else:
            self.waiting.append((host, found))


def run_until(loop: Loop, enough: Callable[[], bool]) -> None:
    end = loop.now() + 5 * 10**9
    while not enough():
        assert loop.now() < end
        loop.step()


def test_a_slow_name__holds_up_nobody_else() -> None:
    loop, fake, names = Loop(), Fake(), Names()
    schedule = Schedule(interval_ns=1_000_000)
    targets = [
        Watched("slow", "slow.example", 80, schedule=schedule),
        Watched("n", "192.0.2.1", 80, schedule=schedule),
    ]
    seen: list[tuple[str, Result, Change | None]] = []
    Monitor(
        loop,
        targets,
        {"syn": fake},
        lambda one, result, change: seen.append((one.name, result, change)),
        names,
    )
    run_until(loop, lambda: len(seen) >= 5)
    assert {name for name, _, _ in seen} == {"n"}
    names.waiting.pop()[1]("192.0.2.9")
    run_until(loop, lambda: any(name == "slow" for name, _, _ in seen))
    loop.close()


def test_an_address__outlives_a_lookup_that_fails() -> None:
    loop, fake, names = Loop(), Fake(), Names()
    before, monitor.RESOLVE_NS = monitor.RESOLVE_NS, 0
    try:
        seen: list[Result] = []
        target = Watched("a", "a.example", 80, schedule=Schedule(interval_ns=1_000_000))
        Monitor(loop, [target], {"syn": fake}, lambda one, result, change: seen.append(result), names)
        run_until(loop, lambda: bool(names.waiting))
        names.waiting.pop()[1]("192.0.2.9")
        run_until(loop, lambda: len(names.waiting) >= 2)
        for _, found in names.waiting:
            found("")
        count = len(fake.asked)
        run_until(loop, lambda: len(fake.asked) > count)
        assert set(fake.asked) == {"192.0.2.9"}
        assert all(result.up for result in seen)
    finally:
        monitor.RESOLVE_NS = before
        loop.close()


def test_a_name_without_an_address__is_an_error_of_this_host() -> None:
    loop, fake, names = Loop(), Fake(), Names()
    seen: list[Result] = []
    target = Watched("a", "a.example", 80, schedule=Schedule(interval_ns=1_000_000))
    Monitor(loop, [target], {"syn": fake}, lambda one, result, change: seen.append(result), names)
    run_until(loop, lambda: bool(names.waiting))
    names.waiting.pop()[1]("")
    assert seen[0].opening is Opening.error
    assert not fake.asked
    loop.close()


def test_loop__takes_calls_of_other_threads_at_once() -> None:
    import threading

    loop, got = Loop(), list[int]()

    def ring() -> None:
        for number in range(100):
            loop.call(lambda number=number: got.append(number))  # type: ignore[misc]
        loop.call(loop.stop)

    thread = threading.Thread(target=ring)
    thread.start()
    loop.run()
    thread.join(5)
    loop.close()
    assert got == list(range(100))
