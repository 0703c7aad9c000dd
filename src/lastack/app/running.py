"""Work for several threads: functions that threads take as they become free, results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import islice
from threading import Lock
from typing import Any

from lastack.tracking.jobs import Job


@contextmanager
def crew_of(threads: int) -> Iterator[Crew]:
    """Give a crew for a while.

    Args:
        threads: How many threads take part, the caller's among them.
    """
    if threads == 1:
        yield Crew(None, 1)
        return
    with ThreadPoolExecutor(threads - 1) as executor:
        yield Crew(executor, threads)


class Crew:
    """Threads that share what one thread has to do; that thread, its owner, takes part while it waits.

    A thread that is free takes what was begun last: the owner waits for that, and what was begun before fills the rest
    of the time. Only the owner may call it.

    Args:
        executor: What has the other threads; None without others, and functions are run as they come.
        threads: How many take part, the owner's among them.
    """

    def __init__(self, executor: Executor | None, threads: int) -> None:
        self._executor = executor
        self._threads = threads
        self._lock = Lock()
        self._begun: list[Begun] = []

    @property
    def alone(self) -> bool:
        """Whether there is only the owner."""
        return self._executor is None

    def begin(
        self, jobs: Iterable[Job], sizes: Sequence[int] | None = None, after: Begun | None = None
    ) -> Begun:
        """Let the threads begin with some functions, and return what has their results.

        Args:
            jobs: Functions without arguments.
            sizes: How long each will take, in any unit: the longest is begun first, so that threads end together.
            after: As many others: each function begins only when the one at its place there is over.
        """
        begun = Begun(self, jobs, sizes, after)
        with self._lock:
            # what others follow comes first
            place = self._begun.index(after) if after in self._begun else len(self._begun)
            self._begun.insert(place, begun)
        if self._executor is None:
            self._work()
        else:
            with suppress(RuntimeError):  # no thread can be started: the owner does it all
                for _ in begun.futures[: self._threads - 1]:
                    self._executor.submit(self._work)
        return begun

    def _work(self) -> None:
        while self.take():
            pass

    def run(self, jobs: Iterable[Job]) -> list[Any]:
        """Run functions and return their results in order."""
        return self.begin(jobs).results()

    def in_order(self, jobs: Iterable[Job]) -> Iterator[Any]:
        """Yield the results of functions in order, while others are worked on; at most one waits ahead.

        Args:
            jobs: Functions without arguments; taken as results are, the first ones at once.
        """
        if self.alone:
            return (job() for job in jobs)
        left = iter(jobs)
        return self._results(deque(self._ahead(left, 0)), left)

    def _ahead(self, jobs: Iterator[Job], waiting: int) -> list[Begun]:
        """Begin with as many functions as may be ahead beside those that wait."""
        return [self.begin([job]) for job in islice(jobs, self._threads + 1 - waiting)]

    def _results(self, ahead: deque[Begun], left: Iterator[Job]) -> Iterator[Any]:
        try:
            while ahead:
                yield ahead.popleft().results()[0]
                ahead.extend(self._ahead(left, len(ahead)))
        finally:
            for one in ahead:
                one.end()

    def take(self, rather: Begun | None = None) -> bool:
        """Run a function that nobody has begun, of some or else of what was begun last; return whether one was left."""
        with self._lock:
            for begun in (*([] if rather is None else [rather]), *reversed(self._begun)):
                if (found := begun.next()) is not None:
                    job, future = found
                    break
            else:
                return False
        try:
            future.set_result(job())
        except BaseException as error:
            future.set_exception(error)
        return True

    def forget(self, begun: Begun) -> int:
        """Let nobody begin with what is left of some functions; return how many were begun."""
        with self._lock:
            taken = len(begun.futures) - len(begun.left)
            begun.left.clear()
            if begun in self._begun:
                self._begun.remove(begun)
        return taken


class Begun:
    """Functions that threads are at work on.

    Attributes:
        left: Those that nobody has begun, with what takes their results.
        futures: What takes the results of all.
    """

    def __init__(
        self, crew: Crew, jobs: Iterable[Job], sizes: Sequence[int] | None, after: Begun | None
    ) -> None:
        self._crew = crew
        some: list[tuple[Job, Future[Any]]] = [(job, Future()) for job in jobs]
        self.futures = [future for _, future in some]
        self._before = None if after is None else dict(zip(self.futures, after.futures, strict=True))
        if sizes is not None:
            some = [some[place] for place in sorted(range(len(some)), key=lambda place: -sizes[place])]
        self.left = deque(some)

    def next(self) -> tuple[Job, Future[Any]] | None:
        """Remove and return the first function that may begin, and what takes its result; None if there is none."""
        for place, (_, future) in enumerate(self.left):
            if self._before is None or self._before[future].done():
                found = self.left[place]
                del self.left[place]
                return found
        return None

    def results(self) -> list[Any]:
        """Return the results in order; until they are there, run what nobody has begun."""
        for future in self.futures:
            while not future.done() and self._crew.take(self):
                pass
            future.exception()  # all must be over before one of them may end this
        self._crew.forget(self)
        return [future.result() for future in self.futures]

    def end(self) -> None:
        """Let nobody begin with what is left, and wait until nobody is at work on it."""
        for future in self.futures[: self._crew.forget(self)]:
            future.exception()
