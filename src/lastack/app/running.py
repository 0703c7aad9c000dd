"""Work for several threads: functions that threads take as they become free, results in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from itertools import islice
from typing import Any

Job = Callable[[], Any]


class Crew:
    """Threads that share what one thread has to do; that thread, its owner, takes part while it waits.

    Only the owner may call it.

    Args:
        executor: What has the other threads; None without others, and functions are run as they come.
        threads: How many take part, the owner's among them.
    """

    def __init__(self, executor: Executor | None, threads: int) -> None:
        self._executor = executor
        self._threads = threads
        self._waiting: deque[_Waiting] = deque()  # begun by the owner, maybe by nobody else yet

    @property
    def alone(self) -> bool:
        """Whether there is only the owner."""
        return self._executor is None

    def begin(self, jobs: Iterable[Job]) -> Begun:
        """Let the threads begin with some functions, behind those begun before, and return what has their results."""
        mine = [_Waiting(job, self._executor) for job in jobs]
        if self._executor is not None:
            self._waiting.extend(mine)
        return Begun(self, mine)

    def run(self, jobs: Iterable[Job]) -> list[Any]:
        """Run functions and return their results in order."""
        return self.begin(jobs).results()

    def in_order(self, jobs: Iterable[Job]) -> Iterator[Any]:
        """Yield the results of functions in order, while others are worked on; at most one waits ahead.

        Args:
            jobs: Functions without arguments; taken as results are.
        """
        if self.alone:
            for job in jobs:
                yield job()
            return
        left = iter(jobs)
        ahead: deque[Begun] = deque()
        try:
            while True:
                for job in islice(left, self._threads + 1 - len(ahead)):
                    ahead.append(self.begin([job]))
                if not ahead:
                    return
                yield ahead.popleft().results()[0]
        finally:
            for one in ahead:
                one.end()

    def help(self, mine: list[_Waiting]) -> bool:
        """Run one function that nobody has begun, rather one of some; return whether there was one."""
        return any(one.done_here() for one in mine) or any(one.done_here() for one in self._waiting)

    def forget(self, mine: list[_Waiting]) -> None:
        """Count some functions as done."""
        done = set(map(id, mine))
        self._waiting = deque(one for one in self._waiting if id(one) not in done)


class Begun:
    """Functions that threads are at work on."""

    def __init__(self, crew: Crew, mine: list[_Waiting]) -> None:
        self._crew = crew
        self._mine = mine

    def results(self) -> list[Any]:
        """Return the results in order; until they are there, run what nobody has begun."""
        for one in self._mine:
            while not one.future.done() and self._crew.help(self._mine):
                pass
            one.future.exception()  # all must be over before one of them may end this
        self._crew.forget(self._mine)
        return [one.future.result() for one in self._mine]

    def end(self) -> None:
        """Let nobody begin with what is left, and wait until nobody is at work on it."""
        at_work = [one for one in self._mine if not one.future.cancel()]
        for one in at_work:
            one.future.exception()
        self._crew.forget(self._mine)


class _Waiting:
    """A function that an executor is to run, unless somebody is faster."""

    def __init__(self, job: Job, executor: Executor | None) -> None:
        self._job = job
        self.future: Future[Any] = Future() if executor is None else executor.submit(job)
        if executor is None:
            self._run_here()

    def done_here(self) -> bool:
        """Run the function here if nobody has begun it; return whether it was so."""
        if self.future.done() or not self.future.cancel():
            return False
        self.future = Future()
        self._run_here()
        return True

    def _run_here(self) -> None:
        try:
            self.future.set_result(self._job())
        except BaseException as error:
            self.future.set_exception(error)
