"""Preparing the compiled kernels: once for each version, Python and processor, on two processors at the same time.

Numba compiles on first use. Left to itself it would do so in one thread; here child processes take steps from one list,
each of which compiles some kernels by using them once, and keep the machine code (`lastack.kernels.stored`). The
general decoder (tunnels, wireless, odd headers) is left out: it is compiled when a capture first needs it.
"""

from __future__ import annotations

import os
import selectors
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from typing import Any

import numpy as np

from lastack.kernels import cache
from lastack.model.errors import LastackError

_TIMEOUT_S = 300
_MOST_CHILDREN = 3  # a fourth would have nothing to do before the longest step is done
_one_at_a_time = threading.Lock()

#: Steps of each group. A test holds them to what analysing, watching and replaying ask for.
GROUPS = {
    cache.TRACKING: ("track", "rows", "ingest", "crowds", "lists", "evict"),
    cache.LIVE: ("general", "live"),
    cache.REPLAY: ("replay",),
    cache.INLINE: ("inline",),
}


def ensure(notice: Callable[[str], None] | None = None) -> None:
    """Compile what is not in the cache yet; a failure here only means that it happens later, in one thread.

    Args:
        notice: Told when there is work to do, before it begins.
    """
    _ensure(cache.TRACKING, notice)


def ensure_replay(notice: Callable[[str], None] | None = None) -> None:
    """Compile what runs a firewall over the packets of captures, if it is not in the cache yet; see `ensure`."""
    _ensure(cache.REPLAY, notice)


def ensure_inline(notice: Callable[[str], None] | None = None) -> None:
    """Compile what judges one packet at a time, if it is not in the cache yet; see `ensure`."""
    _ensure(cache.INLINE, notice)


def compile_groups(groups: Iterable[str], notice: Callable[[str], None] | None = None) -> bool:
    """Compile groups that are not in the cache yet, side by side, and return whether all went well."""
    wanted = {step for group in groups for step in GROUPS[group]}
    return _compile(tuple(step for step in _STEPS if step in wanted), notice)


def _ensure(group: str, notice: Callable[[str], None] | None) -> None:
    if not cache.is_prepared(group) and compile_groups((group,), notice):
        cache.mark(group)
        from lastack.app.old_kernels import remove_unused

        remove_unused()


def compile_missing(wanted: bytes) -> bytes:
    """Compile one kernel that no group has, in a child process; see `lastack.kernels.cache.compile_missing`.

    Raises:
        LastackError: It cannot be compiled; the next run will let Numba call its kernels.
    """
    command = [sys.executable, "-m", "lastack.kernels.compiling"]
    try:
        # Threads come here together, and the child of the first keeps what the others want.
        with _one_at_a_time:
            return subprocess.run(
                command, input=wanted, capture_output=True, timeout=_TIMEOUT_S, check=True, env=_environment()
            ).stdout
    except (OSError, subprocess.SubprocessError) as error:
        with suppress(OSError):
            cache.mark(cache.BROKEN)
        said = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip().splitlines()
        reason = said[-1] if said else str(error)
        raise LastackError(
            f"a kernel could not be compiled ({reason:.200}); try again, it will be done another way"
        ) from error


def _environment() -> dict[str, str]:
    """Return the environment of a child that compiles for this process."""
    return {**os.environ, "LASTACK_KERNELS": cache.COMPILING if cache.mode() == cache.STORED else cache.NUMBA}


def ensure_live(notice: Callable[[str], None] | None = None) -> None:
    """Compile what follows live packets, and load all of it, so that the first packets do not wait for it.

    Args:
        notice: Told when there is work to do, before it begins.
    """
    told = cache.is_prepared()
    ensure(notice)
    _ensure(cache.LIVE, notice if told else None)
    for use in (_use_track, _use_crowds, _use_evict, _use_live, _use_general):
        use()


def _compile(steps: tuple[str, ...], notice: Callable[[str], None] | None) -> bool:
    """Let child processes take steps, the longest first, and return whether all went well."""
    if notice is not None:
        notice("Preparing the compiled parts of LastACK: once, for some seconds.")
    left = list(reversed(steps))
    with ExitStack() as stack, suppress(OSError):
        answers = stack.enter_context(selectors.DefaultSelector())
        for _ in range(min(len(steps), _MOST_CHILDREN, _processors())):
            child = stack.enter_context(_child())
            stack.callback(child.kill)  # what it made is kept already: nobody waits for its end
            answers.register(child.stdout, selectors.EVENT_READ, child)
            child.stdin.write(f"{left.pop()}\n".encode())
        while answers.get_map():
            ready = answers.select(_TIMEOUT_S)
            if not ready:
                return False
            for key, _ in ready:
                child = key.data
                if not child.stdout.read(1):
                    return False
                if left:
                    child.stdin.write(f"{left.pop()}\n".encode())
                else:
                    answers.unregister(child.stdout)
        return True
    return False


def _processors() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _child() -> Any:
    """Return a process that does the steps that it reads, and answers each with one byte."""
    return subprocess.Popen(
        [sys.executable, "-m", "lastack.app.prepare"],
        bufsize=0,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=_environment(),
    )


def _use_track() -> None:
    from lastack.model.batch import SEGMENT
    from lastack.tracking.shard import Shard, pieces_of

    segments = np.zeros(1, SEGMENT)
    Shard(64, 1).feed(pieces_of([(segments.ctypes.data, 1, 0)]))


def _use_rows() -> None:
    from lastack.tracking import merge
    from lastack.tracking.jobs import in_turn
    from lastack.tracking.tracker import Tracker

    merge.prepare()
    tracker = Tracker(64)
    tracker.shards[0].sorted_run()
    for job in tracker.flush(in_turn):
        job()
    tracker.rows(np.zeros(1, np.uint8), np.zeros(1, np.uint32))


def _use_ingest() -> None:
    import tempfile
    from pathlib import Path

    from lastack.app.decoding import Decoder
    from lastack.app.parts import PartSet
    from lastack.capture.source import open_capture
    from lastack.capture.writer import PcapWriter
    from lastack.kernels.sharding import SHARDS
    from lastack.kernels.walk_lanes import LANE
    from lastack.tracking.jobs import in_turn

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "empty.pcap"
        with PcapWriter(path) as writer:
            writer.write(0, bytes(12) + b"\x08\x06" + bytes(46))  # ARP: does not need the general decoder
        with open_capture(path) as capture:
            for _ in Decoder(capture, 0, 1, in_turn).batches():
                pass
        with open_capture(
            path
        ) as capture:  # what larger captures need takes little more now, and seconds later
            for window in capture.windows():
                capture.cuts(window, 2)
                lanes = PartSet().room_for([1], np.zeros(SHARDS))
                lanes.decode(np.zeros(1, LANE), window, capture.split(1)[0], capture.table, 0)


def _use_crowds() -> None:
    from lastack.tracking import crowds

    crowds.prepare()


def _use_lists() -> None:
    from lastack.tracking import lists

    lists.prepare()


def _use_evict() -> None:
    from lastack.kernels.evict import leave
    from lastack.kernels.flowtable import rehash
    from lastack.kernels.sharding import SHARDS, scatter
    from lastack.model.batch import SEGMENT
    from lastack.tracking.shard import Shard

    segments = np.zeros(1, SEGMENT)
    shards, filled = np.zeros(SHARDS, np.uint64), np.zeros(SHARDS, np.int64)
    scatter(np.uint64(segments.ctypes.data), np.zeros(1, np.int64), 0, shards, filled)
    shard = Shard(64, 1)
    rehash(0, -1, shard.address)
    leave(shard.address, shard.standing()[0].ctypes.data, 0)
    shard.sorted_finished()
    shard.free_finished()


def _use_live() -> None:
    from lastack.kernels.decode import decode_many
    from lastack.model.batch import FRAME, SEGMENT
    from lastack.tracking.standing import Standing, Timeouts, open_sessions, sweep
    from lastack.tracking.tracker import Tracker

    decode_many(0, np.empty(0, FRAME), np.zeros(1, SEGMENT), np.zeros(16, np.int64))
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


#: The longest first, so that processes that share them end together.
_STEPS = {
    "track": _use_track,
    "replay": _use_replay,
    "rows": _use_rows,
    "ingest": _use_ingest,
    "general": _use_general,
    "lists": _use_lists,
    "crowds": _use_crowds,
    "evict": _use_evict,
    "live": _use_live,
    "inline": _use_inline,
}

if __name__ == "__main__":
    import gc

    gc.disable()  # the compiler makes millions of small objects and lets few of them go
    for name in sys.stdin:
        _STEPS[name.strip()]()
        sys.stdout.write(".")
        sys.stdout.flush()
