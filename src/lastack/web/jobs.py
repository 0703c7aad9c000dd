"""Runs questions beside the event loop: so many at once, so long, and not for those who went away."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import anyio
import anyio.to_thread

from lastack.model.errors import LastackError
from lastack.store.guard import Stoppable, guarded

if TYPE_CHECKING:
    import duckdb

T = TypeVar("T")
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
_AGAIN_S = 0.1


class StoppedError(LastackError):
    """A question was stopped: it took too long, or nobody waits for it."""


class BusyError(LastackError):
    """Too many questions wait already."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one server gives to questions.

    Attributes:
        at_once: Questions that run at a time.
        waiting: Questions that may wait.
        seconds: How long one may take.
        memory: Bytes that the database may use for one.
    """

    at_once: int = 4
    waiting: int = 32
    seconds: float = 60.0
    memory: int = 2 << 30


class Job:
    """One question: what it may touch, and the way to stop it.

    Args:
        folders: Folders that the database may read.
        memory: Bytes that it may use.
    """

    def __init__(self, folders: tuple[str, ...] = (), memory: int = 2 << 30) -> None:
        self._folders, self._memory = folders, memory
        self._lock = threading.Lock()
        self._connections: list[Stoppable] = []
        self._why = ""

    def admit(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Confine a connection of this question to its folders, and remember it."""
        self.check()
        allowed = ", ".join("'" + (folder + "/").replace("'", "''") + "'" for folder in self._folders)
        connection.execute(f"SET memory_limit = '{self._memory // 1_000_000}MB'")
        connection.execute("SET temp_directory = ''")
        connection.execute(f"SET allowed_directories = [{allowed}]")
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        self.watch(connection)

    def watch(self, question: Stoppable) -> None:
        """Remember something that can be stopped."""
        self.check()
        with self._lock:
            self._connections.append(question)

    def stop(self, why: str) -> None:
        """Stop the question wherever it is; may be called again and again."""
        self._why = self._why or why
        with self._lock:
            for connection in self._connections:
                with contextlib.suppress(Exception):  # closed ones say so by an error
                    connection.interrupt()

    @property
    def why(self) -> str:
        """Why it was stopped; empty if it was not."""
        return self._why

    def check(self) -> None:
        """Go on, or not.

        Raises:
            StoppedError: The question was stopped.
        """
        if self._why:
            raise StoppedError(self._why)


class Jobs:
    """The questions of a server.

    Args:
        folders: Folders that the database may read.
        limits: What each gets.
    """

    def __init__(self, folders: tuple[str, ...], limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._folders = folders
        self._places: anyio.CapacityLimiter | None = None

    @property
    def waiting(self) -> int:
        """Questions that wait for a place."""
        return 0 if self._places is None else self._places.statistics().tasks_waiting

    def job(self) -> Job:
        """Return a new question, which may touch what all may."""
        return Job(self._folders, self.limits.memory)

    async def run(self, work: Callable[[Job], T], receive: Receive, seconds: float | None = None) -> T:
        """Return what `work` returns, run in a thread.

        Args:
            work: The question.
            receive: The ASGI channel that tells when the asker goes away.
            seconds: How long it may take, None for the server's limit.

        Raises:
            BusyError: Too many wait already.
            StoppedError: It took too long, or the asker went away.
        """
        if self._places is None:  # made inside the loop that it belongs to
            self._places = anyio.CapacityLimiter(self.limits.at_once)
        if self.waiting >= self.limits.waiting:
            raise BusyError("too many questions wait already; try again in a few seconds")
        job = self.job()
        most = seconds or self.limits.seconds
        outcome: list[T] = []
        failure: list[BaseException] = []

        def guard() -> T:
            job.check()
            with guarded(job.admit, job.watch):
                return work(job)

        group = anyio.create_task_group()
        running = False

        async def stop(why: str) -> None:
            """Stop the question until its thread has ended: it may be between two statements of the database."""
            job.stop(why)
            if not running:  # it need not wait for a place any more
                group.cancel_scope.cancel()
            while True:
                await anyio.sleep(_AGAIN_S)
                job.stop(why)

        async def watch_asker() -> None:
            while (await receive()).get("type") != "http.disconnect":
                pass
            await stop("nobody waits for the answer any more")

        async def watch_clock() -> None:
            await anyio.sleep(most)
            await stop(f"no answer within {most:g} s: ask for a shorter time, or for fewer sessions")

        async with group:
            group.start_soon(watch_asker)
            group.start_soon(watch_clock)
            async with self._places:
                running = True
                try:
                    outcome.append(await anyio.to_thread.run_sync(guard, limiter=anyio.CapacityLimiter(1)))
                except Exception as error:
                    failure.append(error)
            group.cancel_scope.cancel()
        if not outcome and not failure:
            raise StoppedError(job.why)
        if failure:
            if job.why and not isinstance(failure[0], StoppedError):
                raise StoppedError(job.why) from None
            raise failure[0]
        return outcome[0]
