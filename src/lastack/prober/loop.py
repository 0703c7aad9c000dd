"""A loop of sockets and times for thousands of connections: edge-triggered epoll and one heap.

Edge-triggered, because a connection whose other end has sent FIN stays readable for ever, and the RST that may still
come is what a path test waits for. Linux only.
"""

from __future__ import annotations

import contextlib
import heapq
import os
import resource
import select
import time
from collections import deque
from collections.abc import Callable
from itertools import count

EVENTS = select.EPOLLIN | select.EPOLLOUT | select.EPOLLRDHUP | select.EPOLLET
#: What epoll tells without being asked.
BROKEN = select.EPOLLERR | select.EPOLLHUP

Handler = Callable[[int], None]
_MAX_SLEEP_S = 0.5


class Timer:
    """A call at a time; `cancel` takes it back."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """Never make the call."""
        self.call = None


class Loop:
    """Calls handlers of sockets when something happens, and others at their times.

    Times are ns of the monotonic clock.
    """

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._heap: list[tuple[int, int, Timer]] = []
        self._order = count()
        self._stopped = False
        self._calls: deque[Callable[[], None]] = deque()
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.watch(self._bell, self._called)

    @staticmethod
    def now() -> int:
        """Return the monotonic time in ns."""
        return time.monotonic_ns()

    def watch(self, fd: int, handler: Handler) -> None:
        """Call a handler with the epoll events of a descriptor, each event once."""
        self._handlers[fd] = handler
        self._epoll.register(fd, EVENTS)

    def forget(self, fd: int) -> None:
        """Stop watching a descriptor, before it is closed."""
        if self._handlers.pop(fd, None) is not None:
            self._epoll.unregister(fd)

    def at(self, when_ns: int, call: Callable[[], None]) -> Timer:
        """Make a call at a time."""
        timer = Timer(call)
        heapq.heappush(self._heap, (when_ns, next(self._order), timer))
        return timer

    def call(self, call: Callable[[], None]) -> None:
        """Make a call soon; the one thing that other threads may ask for."""
        self._calls.append(call)
        os.eventfd_write(self._bell, 1)

    def _called(self, events: int) -> None:
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._bell)
        while self._calls:
            self._calls.popleft()()

    def stop(self) -> None:
        """Make `run` return after the present call."""
        self._stopped = True

    def run(self) -> None:
        """Handle events until stopped."""
        self._stopped = False
        while not self._stopped:
            self.step()

    def step(self) -> None:
        """Wait for the next event or time, and handle it."""
        heap = self._heap
        while heap and heap[0][2].call is None:
            heapq.heappop(heap)
        wait = _MAX_SLEEP_S
        if heap:
            wait = min(wait, max(0.0, (heap[0][0] - self.now()) / 1e9))
        for fd, events in self._epoll.poll(wait, 512):
            handler = self._handlers.get(fd)
            if handler is not None:
                handler(events)
        now = self.now()
        while heap and heap[0][0] <= now:
            timer = heapq.heappop(heap)[2]
            if timer.call is not None:
                timer.call()

    def close(self) -> None:
        """Release the kernel's part."""
        self._epoll.close()
        os.close(self._bell)


def allow_descriptors(wanted: int) -> None:
    """Raise this process's limit of open files as far as it may go."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(most, soft), hard))
