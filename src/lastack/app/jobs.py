"""The seam to an engine that runs tasks on many machines: a task is a plain function that makes one folder.

A task says where its result goes, and is skipped when that is there; the folder appears whole, by a rename, or in an
S3 store by the object that is written last. So a task may run twice, on two machines, or after a crash: the answer
is the same. An engine only has to call `run_task` somewhere for each task and tell what it returned, which is what
`jobs_pool` and `jobs_dask` do.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from lastack import __version__
from lastack.model.errors import LastackError
from lastack.model.fields import SCHEMA_VERSION
from lastack.store.s3 import S3Folder, root_of

#: What the driver and its workers must have in common; part of the name of every result.
VERSION = f"{__version__}/{SCHEMA_VERSION}"
_DONE = "done.json"


@dataclass(frozen=True, slots=True)
class Task:
    """A function to call with arguments and a folder to fill.

    Attributes:
        name: For people, unique in a run.
        output: Folder of the result, on a disk that all workers and the driver see (absolute), or an S3 URL.
        function: Importable function `(folder, *arguments) -> counters`; it writes into an empty folder.
        arguments: Plain data.
    """

    name: str
    output: str
    function: Callable[..., dict[str, Any]]
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """A finished result.

    Attributes:
        folder: Where its files are: the output of the task, or a folder below it in an S3 store.
        counters: What the function returned.
        bytes: Bytes of the files.
    """

    folder: str
    counters: dict[str, Any]
    bytes: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a task.

    Attributes:
        name: Of the task.
        problem: Why there is no result, None if there is one.
        skipped: The result was there.
        cpu_s: Processor time of the call, in seconds.
        where: Host and process that worked, for people.
        result: The result, None if there is none.
    """

    name: str
    problem: str | None = None
    skipped: bool = False
    cpu_s: float = 0.0
    where: str = ""
    result: Result | None = None


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
    final = root_of(task.output)
    started = time.process_time()
    try:
        if (result := result_of(task.output)) is not None:
            return Outcome(task.name, skipped=True, where=where, result=result)
        with _room(final) as temporary:
            counters = task.function(temporary, *task.arguments)
            result = _finish(temporary, final, counters)
    except (LastackError, OSError, MemoryError) as reason:
        return Outcome(task.name, f"{_text(reason)} (on {where})", where=where)
    return Outcome(task.name, cpu_s=time.process_time() - started, where=where, result=result)


@contextmanager
def _room(final: Path | S3Folder) -> Iterator[Path]:
    """Yield an empty folder that is gone afterwards: beside the result, or for a store where temporary files go."""
    if isinstance(final, S3Folder):
        with tempfile.TemporaryDirectory(prefix="lastack-") as folder:
            yield Path(folder)
        return
    # Unique across hosts: two workers may make the same result at the same time.
    temporary = final.with_name(f".{final.name}.{secrets.token_hex(6)}.tmp")
    try:
        temporary.mkdir(parents=True)
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _finish(temporary: Path, final: Path | S3Folder, counters: dict[str, Any]) -> Result:
    sizes = {entry.name: entry.stat().st_size for entry in temporary.iterdir()}
    content = {"version": VERSION, "sizes": sizes, "counters": counters}
    if isinstance(final, S3Folder):
        # Each try has a place of its own; which of them counts is what the last object says, which appears at once.
        content["at"] = secrets.token_hex(6)
        (final / str(content["at"])).upload(temporary)
        (final / _DONE).write_bytes(json.dumps(content).encode())
        return _result(final, content)
    (temporary / _DONE).write_text(json.dumps(content), encoding="utf-8")
    if final.exists() and result_of(str(final)) is None:
        shutil.rmtree(final, ignore_errors=True)  # cut short by a crash of its machine
    try:
        temporary.rename(final)
    except OSError:
        result = result_of(str(final))
        if result is None:  # else another worker was faster, with the same result
            raise
        return result
    return _result(final, content)


def result_of(output: str) -> Result | None:
    """Return the result of a task if all its bytes are there: a machine may have crashed just after the rename."""
    folder = root_of(output)
    try:
        content = json.loads((folder / _DONE).read_bytes())
        sizes = content["sizes"].items()
        if content["version"] != VERSION:
            return None
        if isinstance(folder, S3Folder):
            there = (folder / content["at"]).sizes()
            whole = all(there.get(name) == size for name, size in sizes)
        else:
            whole = all((folder / name).stat().st_size == size for name, size in sizes)
        return _result(folder, content) if whole else None
    except (OSError, ValueError, KeyError, AttributeError):
        return None


def _result(folder: Path | S3Folder, content: dict[str, Any]) -> Result:
    files = folder / content["at"] if isinstance(folder, S3Folder) else folder
    return Result(str(files), content["counters"], sum(content["sizes"].values()))


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
