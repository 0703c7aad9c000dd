"""Start-up: how long a person waits before anything is read."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import MeasurementError, Times, process
from benchmarks.variants import slice_of

_ROUNDS = 5
#: A user's Python keeps its byte code; a machine that is set up for tests may have that turned off.
_BYTE_CODE_KEPT = {"PYTHONDONTWRITEBYTECODE": ""}


def start_up(capture: Path, folder: Path) -> list[dict[str, Any]]:
    """Return the wall times of whole processes: help, ten packets when warm, and the first run on a machine."""
    program = _program()
    tiny = folder / "ten-packets.pcap"
    slice_of(capture, tiny, 10)
    try:
        results = [
            _repeated("lastack --help", [program, "--help"]),
            _repeated("lastack sessions, 10 packets, warm", [program, "sessions", str(tiny)]),
        ]
        with tempfile.TemporaryDirectory(prefix="lastack-cache-") as empty:
            results.append(
                _once("lastack sessions, 10 packets, first run ever", [program, "sessions", str(tiny)], empty)
            )
        return results
    finally:
        tiny.unlink()


def _program() -> str:
    beside = Path(sys.executable).parent / "lastack"
    found = str(beside) if beside.exists() else shutil.which("lastack")
    if found is None:
        raise MeasurementError("the command lastack is not installed")
    return found


def _repeated(name: str, command: list[str]) -> dict[str, Any]:
    try:
        process(command, environment=_BYTE_CODE_KEPT)
        times = Times(tuple(process(command, environment=_BYTE_CODE_KEPT) for _ in range(_ROUNDS)))
    except MeasurementError as error:
        return {"what": name, "skipped": str(error)}
    return {"what": name, "best": times.best, "median": times.median}


def _once(name: str, command: list[str], cache: str) -> dict[str, Any]:
    try:
        seconds = process(command, environment=_BYTE_CODE_KEPT | {"LASTACK_CACHE": cache})
    except MeasurementError as error:
        return {"what": name, "skipped": str(error)}
    return {"what": name, "best": seconds, "median": seconds}
