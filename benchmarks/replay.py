"""`python -m benchmarks.replay`: packets per second through a box, beside the tracker alone and one packet at a time.

Rounds of both alternate, so that a machine that others use slows them alike; CPU seconds count, not wall seconds.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.generate import generate
from benchmarks.shapes import SHAPES, smaller
from lastack.app.options import TrackOptions
from lastack.app.pipeline import track_captures
from lastack.app.replay import replay_captures
from lastack.app.scenarios import configured
from lastack.firewall.machine import Machine
from lastack.firewall.table import Box
from lastack.model.batch import SEGMENT

GOAL = 1 / 3  # of the tracker's packets a second
_LIVE_ENTRIES = 1_000_000
_LIVE_PACKETS = 200_000


def cpu_of(function: object, *arguments: object) -> float:
    """Return the CPU seconds that a call takes."""
    start = time.process_time()
    function(*arguments)  # type: ignore[operator]
    return time.process_time() - start


def through(path: Path, box: Box) -> None:
    """Replay a capture through a box, in one thread."""
    replay_captures([str(path)], [box], TrackOptions(threads=1))


def tracked(path: Path) -> None:
    """Track a capture, in one thread."""
    track_captures([str(path)], TrackOptions(threads=1), lambda batch: None)


def one_at_a_time(box: Box) -> tuple[float, float]:
    """Return packets per CPU second of a live machine called from Python, with few entries and with a million."""
    segments = np.zeros(_LIVE_ENTRIES, SEGMENT)
    rng = np.random.default_rng(7)
    segments["lo1"], segments["hi1"] = np.arange(_LIVE_ENTRIES), 1 << 40
    segments["hash"] = rng.integers(0, 1 << 32, _LIVE_ENTRIES, np.uint32)
    segments["ts_ns"] = 1_700_000_000_000_000_000 + np.arange(_LIVE_ENTRIES)
    segments["tcp_flags"], segments["meta"], segments["wscale"] = 2, 0, 255
    rates = []
    for entries in (1000, _LIVE_ENTRIES):
        machine = Machine(box, live=True)
        machine.run(segments[:entries], np.full(entries, 8, np.uint64))
        chosen = rng.integers(0, entries, _LIVE_PACKETS)
        addresses = (segments.ctypes.data + chosen * SEGMENT.itemsize).tolist()
        now = int(segments["ts_ns"][-1])
        start = time.process_time()
        for address in addresses:
            machine.offer(address, now)
        rates.append(_LIVE_PACKETS / (time.process_time() - start))
    return rates[0], rates[1]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", default="s", choices=SHAPES)
    parser.add_argument("--shrink", type=int, default=10, help="divide the capture's size by this")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    shape = smaller(SHAPES[options.shape], options.shrink)
    boxes = {name: configured(name).boxes[0] for name in ("panos", "linux_conntrack")}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "capture.pcap"
        packets = generate(shape, path)
        tracked(path)
        times: dict[str, list[float]] = {"tracker": [], **{name: [] for name in boxes}}
        for box in boxes.values():
            through(path, box)
        for _ in range(options.rounds):
            times["tracker"].append(cpu_of(tracked, path))
            for name, box in boxes.items():
                times[name].append(cpu_of(through, path, box))
    best = {name: min(values) for name, values in times.items()}
    print(
        f"{packets:,} packets ({shape.about}, 1/{options.shrink}), one thread, CPU time, best of {options.rounds}"
    )
    for name, seconds in best.items():
        share = best["tracker"] / seconds
        verdict = "" if name == "tracker" else f"  {share:.2f} of the tracker (goal {GOAL:.2f})"
        print(f"  {name:16} {packets / seconds / 1e6:6.2f} M packets/s{verdict}")
    for name, box in boxes.items():
        few, many = one_at_a_time(box)
        print(
            f"  {name:16} live, one at a time: {few:,.0f} packets/s with 1,000 entries, {many:,.0f} with 1,000,000"
        )


if __name__ == "__main__":
    main()
