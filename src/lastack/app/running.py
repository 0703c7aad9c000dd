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
    """Yield the results of functions in order, while an executor works on the next ones; at most one waits ahead.

    Args:
        jobs: Functions without arguments; taken as results are.
        executor: What runs them, None to run each when its result is asked for.
        threads: Threads of the executor.
    """
    if executor is None:
        for job in jobs:
            yield job()
        return
    pending: deque[Future[Any]] = deque()
    try:
        for job in jobs:
            pending.append(executor.submit(job))
            if len(pending) > threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()
