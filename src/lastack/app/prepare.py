"""Preparing the compiled kernels: once for each version, Python and processor, on two processors at the same time.

Numba compiles on first use and keeps the result in a cache folder. Left to itself it would do so in one thread; here
two child processes compile half of the kernels each, by using them once. The general decoder (tunnels, wireless, odd
headers) is left out: it is compiled when a capture first needs it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import numpy as np

from lastack.kernels import _jit

_TIMEOUT_S = 300


def ensure(notice: Callable[[str], None] | None = None) -> None:
    """Compile what is not in the cache yet; a failure here only means that it happens later, in one thread.

    Args:
        notice: Told when there is work to do, before it begins.
    """
    if _jit.is_prepared():
        return
    if notice is not None:
        notice("Preparing the compiled parts of LastACK: once, for some seconds.")
    commands = [[sys.executable, "-m", "lastack.app.prepare", part] for part in _PARTS]
    children = []
    try:
        for command in commands:
            children.append(
                subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
                )
            )
        done = [child.wait(_TIMEOUT_S) == 0 for child in children]
    except (OSError, subprocess.TimeoutExpired):
        done = [False]
    finally:
        for child in children:
            if child.poll() is None:
                child.kill()
                child.wait()
    if all(done):
        _jit.mark_prepared()


def _use_tracking() -> None:
    from lastack.model.batch import SEGMENT
    from lastack.tracking.shard import Shard

    segments = np.zeros(1, SEGMENT)
    shard = Shard(64, 1)
    shard.feed(segments.ctypes.data, 0, 1)
    shard.evict()
    shard.sorted_finished()
    shard.free_finished()


def _use_the_rest() -> None:
    import tempfile
    from pathlib import Path

    from lastack.app.decoding import Decoder, runner
    from lastack.capture.source import open_capture
    from lastack.capture.writer import PcapWriter
    from lastack.tracking import lists
    from lastack.tracking.tracker import Tracker

    lists.prepare()
    run = runner(None)
    tracker = Tracker(64)
    for job in tracker.flush(run):
        job()
    tracker.rows(np.zeros(1, np.uint8), np.zeros(1, np.uint32))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "empty.pcap"
        with PcapWriter(path) as writer:
            writer.write(0, bytes(12) + b"\x08\x06" + bytes(46))  # ARP: does not need the general decoder
        with open_capture(path) as capture:
            for _ in Decoder(capture, 0, 1, run).batches():
                pass


_PARTS = {"tracking": _use_tracking, "rest": _use_the_rest}

if __name__ == "__main__":
    import gc

    gc.disable()  # the compiler makes millions of small objects and lets few of them go
    _PARTS[sys.argv[1]]()
