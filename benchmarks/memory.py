"""Memory: what a live session costs, the peak with ten million of them, and with twenty million under a limit.

The baseline is the same process on a capture with few sessions, so that the interpreter, the compiler and the
buffers are not counted. The capture's own pages, which the kernel can drop at any time, are not either.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.generate import bytes_needed, generate
from benchmarks.measure import peak_of, program, worker
from benchmarks.shapes import LIMITED, LIVE, Shape, smaller

_BASELINE_SESSIONS = 1000
_LIMIT = 3_000_000


def needed(shrink: int) -> int:
    """Return the disk space of the largest capture."""
    return max(bytes_needed(smaller(shape, shrink)) for shape in [*LIVE.values(), *LIMITED.values()])


def live_sessions(folder: Path, shrink: int, threads: int, keep: bool) -> list[dict[str, Any]]:
    """Return bytes per live session and peak memory, for established and half-open sessions."""
    results = []
    for name, full in LIVE.items():
        shape = smaller(full, shrink)
        small = _measured(smaller(shape, shape.sessions // _BASELINE_SESSIONS), folder, threads, keep=False)
        large = _measured(shape, folder, threads, keep)
        grown = large["anonymous_at_most_live"] - small["anonymous_at_most_live"]
        results.append(
            {
                "sessions": name,
                "live": large["live"],
                "bytes_per_session": grown / max(1, large["live"] - small["live"]),
                "anonymous": large["anonymous_at_most_live"],
                "baseline": small["anonymous_at_most_live"],
                "peak_rss": large["peak_rss"],
                "seconds": large["seconds"],
            }
        )
    return results


def under_a_limit(folder: Path, shrink: int, keep: bool) -> list[dict[str, Any]]:
    """Return time and peak memory of `lastack analyze -o` on more sessions than its table may hold."""
    results = []
    limit = _LIMIT // shrink
    for name, full in LIMITED.items():
        shape = smaller(full, shrink)
        path = folder / f"{shape.key}-{shape.sessions}.pcap"
        command = [program(), "analyze", str(path), "-o", str(folder / "limited"), "--overwrite"]
        try:
            if not path.exists():
                generate(shape, path)
            seconds, peak_rss = peak_of([*command, "--max-sessions", str(limit)])
        finally:
            if not keep:
                path.unlink(missing_ok=True)
        results.append(
            {"sessions": name, "number": shape.sessions, "packets": shape.packets, "limit": limit,
             "peak_rss": peak_rss, "seconds": seconds}
        )  # fmt: skip
    return results


def _measured(shape: Shape, folder: Path, threads: int, keep: bool) -> dict[str, Any]:
    path = folder / f"{shape.key}-{shape.sessions}.pcap"
    try:
        if not path.exists():
            generate(shape, path)
        with worker() as fresh:
            return fresh.track(path, threads=threads, watch=True, max_sessions=2 * shape.sessions)
    finally:
        if not keep:
            path.unlink(missing_ok=True)
