"""What it costs to track in tasks and files: `python -m benchmarks.cluster`, beside one process on the same packets.

Processor time is compared, not the clock: it says what more machines cost, whoever else uses this one. Each round
measures one process and then each way in tasks; figures are the medians of the rounds, ratios are taken inside a round.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import machine
from benchmarks.generate import generate
from benchmarks.shapes import SHAPES, smaller
from lastack.app.cluster import ClusterRun
from lastack.app.jobs import Engine, InProcess, Outcome
from lastack.app.jobs_pool import ProcessPool
from lastack.app.options import TrackOptions
from lastack.app.pipeline import track_captures

OPTIONS = TrackOptions(threads=1)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster", description=__doc__)
    parser.add_argument(
        "--smaller",
        type=int,
        default=1,
        help="divide packets and sessions by this (default 1: 4 million packets)",
    )
    parser.add_argument(
        "--shape", choices=[*sorted(SHAPES), "elephant"], default="s", help="what the packets are like"
    )
    parser.add_argument("--rounds", type=int, default=3, help="how often to measure each (default 3)")
    parser.add_argument("--files", type=int, default=6, help="rotated files that the capture is cut into")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder) / "whole.pcap"
        if options.shape == "elephant":
            packets = elephant(4_000_000 // options.smaller, whole)
        else:
            packets = generate(smaller(SHAPES[options.shape], options.smaller), whole)
        files = cut(whole, options.files)
        whole.unlink()
        rounds = [measure(files, packets, Path(folder) / "work") for _ in range(options.rounds)]
    found = {way: medians([one[way] for one in rounds]) for way in rounds[0]}
    result = {
        "machine": machine.facts(),
        "packets": packets,
        "files": len(files),
        "rounds": len(rounds),
        "runs": found,
    }
    if options.json:
        print(json.dumps(result, indent=1))
        return 0
    print("  ".join(f"{key}: {value}" for key, value in result["machine"].items()))
    print(f"{packets:,} packets in {len(files)} files")
    for name, run in found.items():
        print(f"{name:28} " + "  ".join(f"{key} {value:,.3g}" for key, value in run.items()))
    return 0


def elephant(packets: int, path: Path) -> int:
    """Write a capture in which one session has every packet: all of 1000 bytes, one way, 10 us apart."""
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 1040, 0, 0, 64, 6, 0, b"\x0a\0\0\1", b"\xc0\0\2\1")
    words = [(name, "<u4") for name in ("s", "us", "cap", "wire")]
    tcp = [(name, ">u4") for name in ("ports", "seq", "ack")] + [
        (name, ">u2") for name in ("flags", "window")
    ]
    frame = np.dtype([*words, ("ip", "V20"), *tcp, ("sum", ">u4")])
    number = np.arange(packets, dtype=np.uint64)
    frames = np.zeros(packets, frame)
    frames["s"], frames["us"] = 1_700_000_000 + number // 100_000, number % 100_000 * 10
    frames["cap"], frames["wire"], frames["ip"] = 40, 1040, np.void(ip)
    frames["ports"], frames["seq"] = 40_000 << 16 | 443, number * 1000 % (1 << 32)
    frames["ack"], frames["flags"], frames["window"] = 1, 0x5010, 1000
    with path.open("wb") as stream:
        stream.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 96, 101))
        frames.tofile(stream)
    return packets


def cut(whole: Path, files: int) -> list[str]:
    """Cut a classic pcap into rotated files of about the same size; return their names."""
    data = whole.read_bytes()
    paths, position = [], 24
    for number in range(files):
        until = 24 + (len(data) - 24) * (number + 1) // files
        start = position
        while position < until:
            position += 16 + struct.unpack_from("<I", data, position + 8)[0]
        path = whole.with_name(f"part{number:03}.pcap")
        path.write_bytes(data[:24] + data[start:position])
        paths.append(str(path))
    return paths


def measure(files: list[str], packets: int, work: Path) -> dict[str, dict[str, float]]:
    """Return seconds, processor seconds and what follows from them, for each way to run."""
    track_captures(files[:1], OPTIONS, _nothing)  # compiled code is loaded once, for all
    cpu, started = time.process_time(), time.monotonic()
    sessions = track_captures(files, OPTIONS, _nothing).sessions
    alone = time.process_time() - cpu
    found = {"one process, one thread": _figures(time.monotonic() - started, alone, alone, packets)}
    found["tasks in one process"] = _run(InProcess, files, packets, work, sessions, alone)
    for workers in (1, 2):
        found[f"{workers} worker(s)"] = _run(
            lambda n=workers: _warm(n, files), files, packets, work, sessions, alone
        )
    found["2 workers, one killed"] = _run(
        lambda: _Killing(_warm(2, files)), files, packets, work, sessions, alone
    )
    return found


def medians(runs: list[dict[str, float]]) -> dict[str, float]:
    """Return the median of each figure over several runs."""
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def _run(
    make: Callable[[], Engine], files: list[str], packets: int, work: Path, sessions: int, alone: float
) -> dict[str, float]:
    engine = make()
    run = ClusterRun(engine, work)
    cpu, started = time.process_time(), time.monotonic()
    summary = run.track(files, OPTIONS, _nothing)
    seconds = time.monotonic() - started
    here = time.process_time() - cpu
    engine.close()
    assert summary.sessions == sessions
    assert not run.missing
    inside = isinstance(engine, InProcess)
    total = here if inside else here + sum(stage.cpu_s for stage in run.stages)
    figures = _figures(seconds, total, alone, packets)
    for stage in run.stages:
        figures[f"{stage.name}_cpu_s"] = stage.cpu_s
    figures["shuffle_bytes_per_packet"] = run.stages[0].written / packets
    figures["row_bytes_per_session"] = run.stages[1].written / sessions
    run.clean()
    return figures


def _figures(seconds: float, cpu: float, alone: float, packets: int) -> dict[str, float]:
    return {
        "seconds": seconds,
        "packets_per_s": packets / seconds,
        "cpu_s": cpu,
        "cpu_ns_per_packet": cpu / packets * 1e9,
        "cpu_of_one_process": cpu / alone,
    }


def _warm(workers: int, files: list[str]) -> ProcessPool:
    """Return a pool whose processes have loaded the compiled code, as those of a cluster have."""
    pool = ProcessPool(workers)
    with tempfile.TemporaryDirectory() as folder:
        ClusterRun(pool, Path(folder)).track(files[:workers], OPTIONS, _nothing)
    return pool


class _Killing:
    """Kills the process that made the first result."""

    def __init__(self, pool: ProcessPool) -> None:
        self._pool = pool
        self._done = False

    def run(self, tasks: Any, told: Any) -> None:
        def tell(outcome: Outcome) -> None:
            told(outcome)
            if not self._done:
                self._done = True
                os.kill(int(outcome.where.rsplit(":", 1)[1]), signal.SIGKILL)

        self._pool.run(tasks, tell)

    def close(self) -> None:
        self._pool.close()


def _nothing(batch: Any) -> None:
    """Take rows and forget them."""


if __name__ == "__main__":
    sys.exit(main())
