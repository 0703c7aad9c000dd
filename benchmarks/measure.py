"""Times things: `cat`, whole processes, and the engine in a process that is warm already."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

#: A user's Python keeps its byte code; a machine that is set up for tests may have that turned off.
_AS_A_USER = {"PYTHONDONTWRITEBYTECODE": ""}


@dataclass(frozen=True)
class Times:
    """Several rounds of one measurement, in seconds."""

    seconds: tuple[float, ...]

    @property
    def best(self) -> float:
        """The fastest round."""
        return min(self.seconds)

    @property
    def median(self) -> float:
        """The round in the middle."""
        return statistics.median(self.seconds)


class MeasurementError(Exception):
    """A measurement cannot be made here; the text says why."""


def into_page_cache(path: Path) -> None:
    """Read a file once, so that the round that follows finds it in memory."""
    with path.open("rb", buffering=0) as file:
        buffer = memoryview(bytearray(1 << 20))
        while file.readinto(buffer):
            pass


def out_of_page_cache(path: Path) -> None:
    """Let the system forget a file, so that it is next read from its disk."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def process(
    command: list[str], folder: Path | None = None, environment: dict[str, str] | None = None
) -> float:
    """Return the wall time of a command with its output thrown away.

    Raises:
        MeasurementError: It failed.
    """
    began = time.perf_counter()
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False,
        cwd=folder, env=os.environ | _AS_A_USER | (environment or {}),
    )  # fmt: skip
    seconds = time.perf_counter() - began
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise MeasurementError(
            f"{command[0]} ended with {done.returncode}: {said[-1] if said else 'no message'}"
        )
    return seconds


def peak_of(command: list[str]) -> tuple[float, int]:
    """Return the wall time of a command with its output thrown away, and the most bytes that were resident.

    Raises:
        MeasurementError: It failed.
    """
    began = time.perf_counter()
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        env=os.environ | _AS_A_USER,
    ) as child:  # fmt: skip
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise MeasurementError(f"{command[0]} ended with {child.returncode}")
    return time.perf_counter() - began, usage.ru_maxrss * 1024


def program() -> str:
    """Return the command `lastack` that belongs to this Python.

    Raises:
        MeasurementError: It is not installed.
    """
    beside = Path(sys.executable).parent / "lastack"
    found = str(beside) if beside.exists() else shutil.which("lastack")
    if found is None:
        raise MeasurementError("the command lastack is not installed")
    return found


def cat(path: Path) -> float:
    """Return the wall time of `cat PATH > /dev/null`, the least that reading a file costs."""
    return process(["cat", str(path)])


class Worker:
    """A process with a warm engine."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            cwd=ROOT,
        )  # fmt: skip

    def track(self, path: Path, **order: Any) -> dict[str, Any]:
        """Track a capture; the answer has seconds, packets, rows and memory.

        Raises:
            MeasurementError: The engine failed, or is not there.
        """
        assert self._process.stdin is not None, "opened with a pipe"
        assert self._process.stdout is not None, "opened with a pipe"
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps({"path": str(path), **order}) + "\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise MeasurementError(f"the worker died with {self._process.wait()} (not enough memory?)")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise MeasurementError(f"lastack: {answer['error']}")
        return answer

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


@contextlib.contextmanager
def worker() -> Iterator[Worker]:
    """Give a warm process that ends with the block."""
    made = Worker()
    try:
        yield made
    finally:
        made.close()
