"""Work for several threads: many functions shared out as threads become free, results in order."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future
from typing import Any

from lastack.tracking.tracker import Run

Job = Callable[[], Any]


def shared(jobs: Sequence[Job], run: Run, threads: int) -> list[Any]:
    """Return the results of functions in order; a thread that is free takes the next one.

    Args:
        jobs: Functions without arguments.
        run: Runs functions at the same time.
        threads: How many take part.
    """
    results: list[Any] = [None] * len(jobs)
    places = itertools.count()

    def work() -> None:
        while (place := next(places)) < len(jobs):
            results[place] = jobs[place]()

    run([work] * min(threads, len(jobs)))
    return results


def in_order(jobs: Iterable[Job], executor: Executor | None, threads: int) -> Iterator[Any]:
    """Yield the results of functions in order, while others are worked on; at most one waits ahead.

    The caller's thread takes part: while the next result is not there, it does what nobody has begun.

    Args:
        jobs: Functions without arguments; taken as results are.
        executor: What runs them, None to run each when its result is asked for.
        threads: How many threads take part, the caller's among them.
    """
    if executor is None:
        for job in jobs:
            yield job()
        return
    left = iter(jobs)
    waiting: deque[_Waiting] = deque()
    try:
        while True:
            for job in itertools.islice(left, threads + 1 - len(waiting)):
                waiting.append(_Waiting(job, executor.submit(job)))
            if not waiting:
                return
            while not waiting[0].future.done() and any(one.done_here() for one in waiting):
                pass
            yield waiting.popleft().future.result()
    finally:
        for one in waiting:
            one.future.cancel()


class _Waiting:
    """A function that an executor is to run, unless somebody is faster."""

    def __init__(self, job: Job, future: Future[Any]) -> None:
        self._job = job
        self.future = future

    def done_here(self) -> bool:
        """Run the function here if nobody has begun it; return whether it was so."""
        if not self.future.cancel():
            return False
        self.future = Future()
        try:
            self.future.set_result(self._job())
        except BaseException as error:
            self.future.set_exception(error)
        return True
