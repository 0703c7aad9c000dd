"""Preparing the compiled kernels: once for each version, Python and processor, on two processors at the same time.

Numba compiles on first use and keeps the result in a cache folder. Left to itself it would do so in one thread; here
two child processes compile half of the kernels each, by using them once. The general decoder (tunnels, wireless, odd
headers) is left out: it is compiled when a capture first needs it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from lastack.kernels import _jit

_TIMEOUT_S = 300


def ensure(notice: Callable[[str], None] | None = None) -> None:
    """Compile what is not in the cache yet; a failure here only means that it happens later, in one thread.

    Args:
        notice: Told when there is work to do, before it begins.
    """
    if not _jit.is_prepared() and _compile(("tracking", "rest"), notice):
        _jit.mark_prepared()


def ensure_boxes(notice: Callable[[str], None] | None = None) -> None:
    """Compile what runs a firewall over packets, if it is not in the cache yet; see `ensure`."""
    if not _jit.is_prepared(_BOXES) and _compile(("replay", "inline"), notice):
        _jit.mark_prepared(_BOXES)


def ensure_live(notice: Callable[[str], None] | None = None) -> None:
    """Compile what follows live packets, and load all of it, so that the first packets do not wait for it.

    Args:
        notice: Told when there is work to do, before it begins.
    """
    ensure(notice)
    if not _jit.is_prepared(_LIVE) and _compile(("live", "general"), notice):
        _jit.mark_prepared(_LIVE)
    _use_tracking()
    _use_live()
    _use_general()


def _compile(parts: tuple[str, ...], notice: Callable[[str], None] | None) -> bool:
    """Compile parts, each in a child process, and return whether all went well."""
    if notice is not None:
        notice("Preparing the compiled parts of LastACK: once, for some seconds.")
    commands = [[sys.executable, "-m", "lastack.app.prepare", part] for part in parts]
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
    return all(done)


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


def _use_live() -> None:
    from lastack.kernels.decode import decode_many
    from lastack.kernels.ingest import SHARDS, scatter
    from lastack.model.batch import FRAME, SEGMENT
    from lastack.tracking.standing import Standing, Timeouts, open_sessions, sweep
    from lastack.tracking.tracker import Tracker

    segments = np.zeros(1, SEGMENT)
    decode_many(0, np.empty(0, FRAME), segments, np.zeros(16, np.int64))
    shards, filled = np.zeros(SHARDS, np.uint64), np.zeros(SHARDS, np.int64)
    scatter(np.uint64(segments.ctypes.data), np.zeros(1, np.int64), 0, shards, filled)
    tracker = Tracker(64)
    for shard in tracker.shards:
        sweep(shard, 0, Timeouts(), Standing(), [])
    tracker.rows(*open_sessions(tracker.shards, 1))


def _use_general() -> None:
    from lastack.kernels import decode_rare

    decode_rare.prepare()


def _box() -> Any:
    from lastack.app.boxes import BoxWords, make_box

    return make_box(BoxWords("panos", config="none"))[0]


def _use_replay() -> None:
    from lastack.model.batch import SEGMENT
    from lastack.replay.evaluate import evaluate

    evaluate(np.zeros(1, SEGMENT), _box())


def _use_inline() -> None:
    from lastack.app.emulate import warm_up

    warm_up(_box())


_BOXES, _LIVE = "prepared-boxes", "prepared-live"
_PARTS = {
    "tracking": _use_tracking,
    "rest": _use_the_rest,
    "live": _use_live,
    "general": _use_general,
    "replay": _use_replay,
    "inline": _use_inline,
}

if __name__ == "__main__":
    import gc

    gc.disable()  # the compiler makes millions of small objects and lets few of them go
    _PARTS[sys.argv[1]]()
