"""Windows: stretches of a capture in memory, from a mapped file or from a buffer that is filled again and again."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import resource
import time
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from lastack.capture.problem import Problems
from lastack.capture.rawbytes import ByteStream, RawBytes

#: No buffer grows beyond this; a record or block that is larger cannot be read from a stream.
BUFFER_CAP = 320 << 20
_BUFFER_WANTED = 96 << 20  # a mapped window costs no memory of its own; a buffer does

_LATENCY_S = 0.2  # a window of a pipe waits no longer than this for more bytes once it has some
_SLACK = 64
_MAPPED_SHARE = 8  # of a limited address space a file takes at most one part in so many

_madvise = ctypes.CDLL(None).madvise
_madvise.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int


@dataclass(slots=True)
class Window:
    """A stretch of the capture that lies in memory until the next one is asked for.

    Attributes:
        base: Address of offset 0, a numpy.uint64; offsets below count from it.
        position: Offset of the first record that was not walked yet; `Capture.settle` moves it.
        end: Offset after the last byte.
        origin: Byte of the (decompressed) stream that lies at offset 0.
        last: The stream ends where the window does.
    """

    base: Any
    position: int
    end: int
    origin: int
    last: bool


def view_of(window: Window, most: int | None = None) -> memoryview:
    """Return the bytes from the position of a window on, without a copy; they live as long as the window."""
    count = window.end - window.position
    count = count if most is None else min(count, most)
    return memoryview((ctypes.c_ubyte * count).from_address(int(window.base) + window.position)).cast("B")


class Storage(Protocol):
    """Where windows come from."""

    def window(self, position: int, target: int, least: int = 1) -> Window:
        """Return the window that begins at a byte of the stream.

        Args:
            position: Byte of the stream, never before that of the previous window.
            target: Bytes that are wanted.
            least: Bytes that are needed; fewer come only at the end of the stream.
        """

    def drop(self, start: int, end: int) -> None:
        """Note that the bytes between two offsets of the last window are not needed any more; any thread may."""

    def close(self) -> None:
        """Let the memory go."""


class MappedFile:
    """A plain file, mapped as a whole: windows copy nothing.

    Raises:
        OSError: It cannot be mapped, or would take too much of a limited address space.
        ValueError: It is empty.
    """

    def __init__(self, raw: RawBytes, problems: Problems) -> None:
        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY and os.fstat(raw.fileno()).st_size > limit // _MAPPED_SHARE:
            raise OSError("the flow table needs the address space")
        self._raw = raw
        self._problems = problems
        self._map = mmap.mmap(raw.fileno(), 0, access=mmap.ACCESS_READ)
        self._size = len(self._map)
        self._bytes = np.frombuffer(self._map, np.uint8)
        self._dropped = 0
        self._advise(mmap.MADV_SEQUENTIAL, 0, self._size)

    def window(self, position: int, target: int, least: int = 1) -> Window:
        """Return the window that begins at a byte of the file."""
        size = os.fstat(self._raw.fileno()).st_size
        if size < self._size:
            # Touching pages beyond the new end would kill the process.
            self._size = size
            self._problems.add(
                size, None, "the file was cut short while it was read", "what was left was read"
            )
        self._drop_before(position)
        end = min(self._size, position + max(target, least))
        self._raw.consumed = max(self._raw.consumed, end)
        base = np.uint64(self._bytes.ctypes.data)
        return Window(base, min(position, end), end, 0, end == self._size)

    def drop(self, start: int, end: int) -> None:
        """Unmap the whole pages between two offsets, without the interpreter lock: it takes a tenth of a window's time.

        They come back if they are looked at again.
        """
        page = mmap.ALLOCATIONGRANULARITY
        first, last = -(-start // page) * page, end // page * page
        if first < last:
            _madvise(self._bytes.ctypes.data + first, last - first, mmap.MADV_DONTNEED)

    def limit(self, end: int) -> None:
        """Take the file as if it ended at a byte."""
        self._size = min(self._size, end)

    def close(self) -> None:
        """Unmap the file."""
        self._bytes = np.empty(0, np.uint8)
        self._map.close()

    def _drop_before(self, position: int) -> None:
        """Unmap what was walked: it stays in the page cache but counts no more as memory of this process."""
        page = mmap.ALLOCATIONGRANULARITY
        until = (position - 1) // page * page
        if until - self._dropped >= 16 << 20:
            self._advise(mmap.MADV_DONTNEED, self._dropped, until - self._dropped)
            self._dropped = until

    def _advise(self, advice: int, start: int, length: int) -> None:
        with contextlib.suppress(OSError):  # only a hint
            self._map.madvise(advice, start, length)


class StreamBuffer:
    """A stream behind one buffer: what was not walked moves to the front, the rest is filled anew."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._buffer = np.empty(0, np.uint8)
        self._origin = 0
        self._filled = 0
        self._ended = False

    def window(self, position: int, target: int, least: int = 1) -> Window:
        """Return the window that begins at a byte of the stream, after reading some more if it is short."""
        self._move_to_front(position, min(max(min(target, _BUFFER_WANTED), least), BUFFER_CAP))
        view = self._buffer.data
        room = len(self._buffer) - _SLACK
        deadline = time.monotonic() + _LATENCY_S
        while self._filled < room and not self._ended:
            if self._filled >= least and not self._stream.ready(deadline - time.monotonic()):
                break
            count = self._stream.readinto(view[self._filled : room])
            self._ended = count == 0
            self._filled += count
        base = np.uint64(self._buffer.ctypes.data)
        return Window(base, 0, self._filled, self._origin, self._ended)

    def drop(self, start: int, end: int) -> None:
        """Do nothing: the buffer is filled again."""

    def close(self) -> None:
        """Free the buffer."""
        self._buffer = np.empty(0, np.uint8)

    def _move_to_front(self, position: int, room: int) -> None:
        start = position - self._origin
        kept = self._buffer[start : self._filled]
        if len(self._buffer) < room + _SLACK:
            grown = np.empty(room + _SLACK, np.uint8)
            grown[: len(kept)] = kept
            self._buffer = grown
        elif start:
            # NumPy copies overlapping stretches as if through a temporary one.
            self._buffer[: len(kept)] = kept
        self._origin = position
        self._filled = len(kept)
