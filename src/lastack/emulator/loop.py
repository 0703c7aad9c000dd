"""The loop of a running box: waits for frames, deadlines and questions, and handles them one after another."""

from __future__ import annotations

import contextlib
import os
import select
from collections import deque
from collections.abc import Callable

from lastack.emulator.clock import BoxClock
from lastack.emulator.engine import Engine

#: Real time between two looks at what is due while frames keep coming.
_ADVANCE_NS = 20_000_000
_SOONEST_NS = 1_000_000

Poll = Callable[[int], None]


class Loop:
    """What every driver is: descriptors with handlers around an engine.

    A driver watches its own descriptors, and sends what lies in `engine.out` when `flush` is called.

    Args:
        engine: What decides.
        clock: The box's time.
    """

    def __init__(self, engine: Engine, clock: BoxClock) -> None:
        self.engine = engine
        self.clock = clock
        self._epoll = select.epoll()
        self._handlers: dict[int, Poll] = {}
        self._jobs: deque[Callable[[], None]] = deque()
        self._stopped = False
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.watch(self._wake, self._do_jobs)

    def watch(self, fd: int, handler: Poll) -> None:
        """Call a handler when a descriptor is readable."""
        self._handlers[fd] = handler
        self._epoll.register(fd, select.EPOLLIN)

    def forget(self, fd: int) -> None:
        """Stop watching it."""
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def soon(self, job: Callable[[], None]) -> None:
        """Have a job done between two frames; may be called from a signal handler or another thread."""
        self._jobs.append(job)
        with contextlib.suppress(OSError):  # closed: nothing will be done any more
            os.eventfd_write(self._wake, 1)

    def _do_jobs(self, fd: int) -> None:
        os.eventfd_read(fd)
        while self._jobs:
            self._jobs.popleft()()

    def stop(self) -> None:
        """Make `run` return; as `soon`, from anywhere."""
        self._stopped = True
        self.soon(lambda: None)

    def flush(self) -> None:
        """Send what the engine wants to send by itself."""
        self.engine.out.clear()

    def lost(self) -> int:
        """Return the frames that the kernel dropped because the box was too slow to take them."""
        return 0

    def run(self, every_s: float, told: Callable[[], None]) -> None:
        """Pass frames until stopped.

        Args:
            every_s: How often `told` is called, in real seconds.
            told: For a live view.
        """
        every_ns = int(every_s * 1e9)
        next_told = self.clock.real_ns() + every_ns
        next_advance = 0
        handlers, engine = self._handlers, self.engine
        while not self._stopped:
            for fd, _ in self._epoll.poll(self._sleep_s(next_told), 16):
                if handler := handlers.get(fd):
                    handler(fd)
            real = self.clock.real_ns()
            if real >= next_advance:
                next_advance = real + _ADVANCE_NS
                engine.advance(self.clock.now())
                self.flush()
            if real >= next_told:
                next_told = real + every_ns
                told()

    def _sleep_s(self, next_told: int) -> float:
        wait = max(next_told - self.clock.real_ns(), 0)
        due = self.engine.next_deadline()
        if due is not None:
            wait = min(wait, max(self.clock.real_until(due), _SOONEST_NS))
        return wait / 1e9

    def close(self) -> None:
        """Let go of everything."""
        self._epoll.close()
        os.close(self._wake)
