"""Runs tasks in processes of this machine, and outlives their death.

A killed child breaks the whole pool of the standard library, so no more tasks are handed out than there are
processes: when the pool breaks, those under way are suspects, the pool is built anew and they are tried again.
"""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool

from lastack.app.jobs import Outcome, Task, Told, run_task
from lastack.model.errors import AccessError

TRIES = 3  #: of a task whose process dies


class ProcessPool:
    """Runs tasks in child processes.

    Args:
        workers: How many.

    Raises:
        AccessError: When it runs, the system gives no locks that processes share.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self.rebuilt = 0
        self._pool: ProcessPoolExecutor | None = None

    def run(self, tasks: Sequence[Task], told: Told) -> None:
        """Run every task; one whose process died three times is told as a failure."""
        waiting, deaths = deque(tasks), dict.fromkeys((task.name for task in tasks), 0)
        suspects: deque[Task] = deque()
        running: dict[Future[Outcome], Task] = {}
        while waiting or suspects or running:
            # Suspects run alone, so that a task that kills its process cannot take others' tries with it.
            most = 1 if suspects else self.workers
            while (waiting or suspects) and len(running) < most:
                task = (suspects or waiting).popleft()
                try:
                    running[self._ready().submit(run_task, task)] = task
                except BrokenProcessPool:
                    waiting.appendleft(task)
                    if running:
                        break  # they are told to be broken, and rebuild the pool, below
                    self._rebuild()
            ended, _ = wait(running, return_when=FIRST_COMPLETED)
            broken = False
            for future in ended:
                task = running.pop(future)
                try:
                    told(future.result())
                except BrokenProcessPool:
                    broken = True
                    self._retry(task, deaths, suspects, told)
            if broken:
                for future, task in running.items():
                    if future.done() and future.exception() is None:
                        told(future.result())
                    else:
                        self._retry(task, deaths, suspects, told)
                running.clear()
                self._rebuild()

    def close(self) -> None:
        """End the processes, at once if they still work: what they had under way is made again by another run."""
        children = list((getattr(self._pool, "_processes", None) or {}).values())
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None
        for child in children:
            child.terminate()
        for child in children:
            child.join(5)

    def _ready(self) -> ProcessPoolExecutor:
        if self._pool is None:
            # A fork would copy the locks of threads that Arrow and Numba have started.
            context = multiprocessing.get_context("spawn")
            try:
                self._pool = ProcessPoolExecutor(self.workers, context, _leave_interrupts_to_the_driver)
            except OSError as reason:
                raise AccessError(
                    f"processes cannot share locks here ({reason.strerror}): /dev/shm must be a tmpfs that this user"
                    " may write to; or leave --workers out"
                ) from None
        return self._pool

    def _rebuild(self) -> None:
        self.rebuilt += 1
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    @staticmethod
    def _retry(task: Task, deaths: dict[str, int], suspects: deque[Task], told: Told) -> None:
        deaths[task.name] += 1
        if deaths[task.name] < TRIES:
            suspects.append(task)
        else:
            told(Outcome(task.name, f"its process died {TRIES} times (killed, or out of memory?)"))


def _leave_interrupts_to_the_driver() -> None:
    """Ignore Ctrl-C, which a terminal sends to children too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
