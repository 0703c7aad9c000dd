"""Start-up: how long a person waits before anything is read."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import MeasurementError, Times, process, program
from benchmarks.variants import slice_of

_ROUNDS = 5


def start_up(capture: Path, folder: Path) -> list[dict[str, Any]]:
    """Return the wall times of whole processes: help, ten packets when warm, and the first run on a machine."""
    command = program()
    tiny = folder / "ten-packets.pcap"
    slice_of(capture, tiny, 10)
    try:
        results = [
            _repeated("lastack --help", [command, "--help"]),
            _repeated("lastack sessions, 10 packets, warm", [command, "sessions", str(tiny)]),
        ]
        with tempfile.TemporaryDirectory(prefix="lastack-cache-") as empty:
            results.append(
                _once("lastack sessions, 10 packets, first run ever", [command, "sessions", str(tiny)], empty)
            )
        return results
    finally:
        tiny.unlink()


def _repeated(name: str, command: list[str]) -> dict[str, Any]:
    try:
        process(command)
        times = Times(tuple(process(command) for _ in range(_ROUNDS)))
    except MeasurementError as error:
        return {"what": name, "skipped": str(error)}
    return {"what": name, "best": times.best, "median": times.median}


def _once(name: str, command: list[str], cache: str) -> dict[str, Any]:
    try:
        seconds = process(command, environment={"LASTACK_CACHE": cache})
    except MeasurementError as error:
        return {"what": name, "skipped": str(error)}
    return {"what": name, "best": seconds, "median": seconds}
