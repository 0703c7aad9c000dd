"""The measured process: imports and warms the engine once, then does what it is told, a line of JSON at a time.

Rows with every field are made and handed to a sink that drops them. `anonymous_at_most_live` is the memory that is
not the capture's own pages, at the moment when most sessions were held.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any


def _status(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) * 1024
    return 0


class _Watch:
    """Notes the memory when most sessions are live."""

    def __init__(self) -> None:
        self.live = 0
        self.anonymous = 0

    def __call__(self, state: Any) -> None:
        if state.sessions_live >= self.live:
            self.live = state.sessions_live
            self.anonymous = _status("RssAnon")


def work(order: dict[str, Any]) -> dict[str, Any]:
    """Track one capture and say what it took."""
    from lastack.app.pipeline import TrackOptions, track_captures

    options = TrackOptions(threads=order["threads"], max_sessions=order.get("max_sessions"))
    rows = 0

    def drop(batch: Any) -> None:
        nonlocal rows
        rows += batch.num_rows

    watch = _Watch() if order.get("watch") else None
    before = resource.getrusage(resource.RUSAGE_SELF)
    began = time.perf_counter()
    summary = track_captures([order["path"]], options, drop, watch)
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "seconds": seconds,
        "cpu_seconds": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "packets": summary.ledger.packets,
        "rows": rows,
        "peak_rss": after.ru_maxrss * 1024,
        "live": watch.live if watch else 0,
        "anonymous_at_most_live": watch.anonymous if watch else 0,
    }


def main() -> None:
    """Serve orders until the input ends."""
    for line in sys.stdin:
        try:
            answer = work(json.loads(line))
        except Exception as error:  # the parent prints it: one failed measurement must not end the others
            answer = {"error": f"{type(error).__name__}: {error}"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    main()
