"""Start-up: how long a person waits before anything is read."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import MeasurementError, Times, process, program
from benchmarks.variants import slice_of

_ROUNDS = 5


def start_up(capture: Path, folder: Path) -> list[dict[str, Any]]:
    """Return the wall times of whole processes: help, ten packets when warm, and first runs on a machine."""
    command = program()
    tiny = folder / "ten-packets.pcap"
    slice_of(capture, tiny, 10)
    try:
        results = [
            _repeated("lastack --help", [command, "--help"]),
            _repeated("lastack sessions, 10 packets, warm", [command, "sessions", str(tiny)]),
        ]
        first = "lastack sessions, 10 packets, first run ever"
        for how, settings in ((", as installed", {}), (", nothing shipped", {"LASTACK_KERNELS": "local"})):
            with tempfile.TemporaryDirectory(prefix="lastack-cache-") as empty:
                environment = {"LASTACK_CACHE": empty, **settings}
                results.append(_once(first + how, [command, "sessions", str(tiny)], environment))
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


def _once(name: str, command: list[str], environment: dict[str, str]) -> dict[str, Any]:
    try:
        seconds = process(command, environment=environment)
    except MeasurementError as error:
        return {"what": name, "skipped": str(error)}
    return {"what": name, "best": seconds, "median": seconds}
