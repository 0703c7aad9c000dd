"""The seam to an engine that runs tasks on many machines: a task is a plain function that makes one folder.

A task says where its result goes, and is skipped when that is there; the folder appears whole, by a rename. So a task
may run twice, on two machines, or again after a crash: the answer is the same. An engine only has to call `run_task`
somewhere for each task and tell what it returned, which is what `jobs_pool` and `jobs_dask` do.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lastack import __version__
from lastack.model.errors import LastackError
from lastack.model.fields import SCHEMA_VERSION

#: What the driver and its workers must have in common; part of the name of every result.
VERSION = f"{__version__}/{SCHEMA_VERSION}"
_DONE = "done.json"


@dataclass(frozen=True, slots=True)
class Task:
    """A function to call with arguments and a folder to fill.

    Attributes:
        name: For people, unique in a run.
        output: Folder of the result, absolute, on a disk that all workers and the driver see.
        function: Importable function `(folder, *arguments) -> counters`; it writes into an empty folder.
        arguments: Plain data.
    """

    name: str
    output: str
    function: Callable[..., dict[str, Any]]
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a task.

    Attributes:
        name: Of the task.
        problem: Why there is no result, None if there is one.
        skipped: The result was there.
        cpu_s: Processor time of the call, in seconds.
        where: Host and process that worked, for people.
    """

    name: str
    problem: str | None = None
    skipped: bool = False
    cpu_s: float = 0.0
    where: str = ""


#: Called as each task ends.
Told = Callable[[Outcome], None]


class Engine(Protocol):
    """Runs tasks, in any order and at the same time."""

    def run(self, tasks: Sequence[Task], told: Told) -> None:
        """Run every task; return when each has ended.

        Raises:
            LastackError: The engine itself failed; results that were made stay.
        """

    def close(self) -> None:
        """End the processes or connections that it holds; it may be used again."""


def run_task(task: Task) -> Outcome:
    """Make the result of a task, unless it is there; what goes wrong with files and memory comes back as text."""
    where = f"{socket.gethostname()}:{os.getpid()}"
    final = Path(task.output)
    if is_done(final):
        return Outcome(task.name, skipped=True, where=where)
    # Unique across hosts: two workers may make the same result at the same time.
    temporary = final.with_name(f".{final.name}.{secrets.token_hex(6)}.tmp")
    started = time.process_time()
    try:
        temporary.mkdir(parents=True)
        counters = task.function(temporary, *task.arguments)
        _finish(temporary, final, counters)
    except (LastackError, OSError, MemoryError) as reason:
        return Outcome(task.name, f"{_text(reason)} (on {where})", where=where)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Outcome(task.name, cpu_s=time.process_time() - started, where=where)


def _finish(temporary: Path, final: Path, counters: dict[str, Any]) -> None:
    sizes = {entry.name: entry.stat().st_size for entry in temporary.iterdir()}
    content = {"version": VERSION, "sizes": sizes, "counters": counters}
    (temporary / _DONE).write_text(json.dumps(content), encoding="utf-8")
    if final.exists() and not is_done(final):
        shutil.rmtree(final, ignore_errors=True)  # cut short by a crash of its machine
    try:
        temporary.rename(final)
    except OSError:
        if not is_done(final):  # else another worker was faster, with the same result
            raise


def is_done(folder: Path) -> bool:
    """Return whether a result is there with all its bytes: a machine may have crashed just after the rename."""
    try:
        content = json.loads((folder / _DONE).read_text(encoding="utf-8"))
        sizes = content["sizes"].items()
        return content["version"] == VERSION and all((folder / n).stat().st_size == size for n, size in sizes)
    except (OSError, ValueError, KeyError, AttributeError):
        return False


def counters_of(folder: Path) -> dict[str, Any]:
    """Return the counters that the function of a finished task returned."""
    counters: dict[str, Any] = json.loads((folder / _DONE).read_text(encoding="utf-8"))["counters"]
    return counters


def bytes_of(folder: Path) -> int:
    """Return the bytes of a result's files."""
    sizes: dict[str, int] = json.loads((folder / _DONE).read_text(encoding="utf-8"))["sizes"]
    return sum(sizes.values())


def _text(reason: BaseException) -> str:
    if isinstance(reason, MemoryError):
        return f"out of memory: {reason}"
    return str(reason) or type(reason).__name__


class InProcess:
    """Runs tasks here, one after the other."""

    def run(self, tasks: Sequence[Task], told: Told) -> None:
        """Run every task."""
        for task in tasks:
            told(run_task(task))

    def close(self) -> None:
        """Do nothing."""


def about_this_worker() -> dict[str, str]:
    """Return what must be the same on every machine; called on workers."""
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return {"lastack": VERSION, "python": python, "byteorder": sys.byteorder}
