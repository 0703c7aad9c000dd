"""Reserved memory: address space that costs nothing until it is touched, so that tables grow without moving."""

from __future__ import annotations

import contextlib
import ctypes
import mmap
from typing import Any

import numpy as np

from lastack.model.batch import SEGMENT

#: A segment as bytes: NumPy moves these with one copy each, and the fields of a structure one by one, 20 times slower.
RAW = np.dtype((np.void, SEGMENT.itemsize))

_MAP_NORESERVE = 0x4000
_POPULATE_WRITE = 23  # MADV_POPULATE_WRITE, which Python has no name for
_HUGE = 2 << 20


class Reserve:
    """A stretch of zeroed memory; only touched pages count.

    Args:
        size: Bytes of address space.
        small: Bytes at its beginning that are in small pages; what follows is in large ones: their first touches and
            look-ups are cheaper, but the first byte costs 2 MB. None for small pages throughout.

    Raises:
        MemoryError: The system refuses that much address space.
    """

    def __init__(self, size: int, small: int | None = None) -> None:
        size = _pages(size)
        room = size
        if small is not None:
            small = _pages(small)
            large = -(-max(size - small, 0) // _HUGE) * _HUGE
            room = small + large + _HUGE
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
        try:
            self._map = mmap.mmap(-1, room, flags=flags, prot=mmap.PROT_READ | mmap.PROT_WRITE)
        except OSError as error:
            raise MemoryError(f"cannot reserve {size} bytes of address space") from error
        self._bytes: Any = np.frombuffer(self._map, np.uint8)
        first = 0
        if small is not None:
            first = -(int(self._bytes.ctypes.data) + small) % _HUGE
            self._bytes = self._bytes[first : first + size]
            self._use_huge_pages(first + small, large)
        self.size = size
        self._first = first
        self.address = int(self._bytes.ctypes.data)

    def _use_huge_pages(self, first: int, size: int) -> None:
        if size > 0 and hasattr(mmap, "MADV_HUGEPAGE"):
            with contextlib.suppress(OSError):  # only a hint
                self._map.madvise(mmap.MADV_HUGEPAGE, first, size)

    def populate(self) -> None:
        """Touch all of it at once: cheaper than page by page, and half of that if it is read before it is written."""
        with contextlib.suppress(OSError, ValueError):  # only Linux 5.14 and later can
            self._map.madvise(_POPULATE_WRITE, self._first, self.size)

    def forget_beyond(self, size: int) -> None:
        """Give back large pages behind the first so many bytes; they are zeroed when they are touched again."""
        kept = -(-(self.address + size) // _HUGE) * _HUGE - self.address
        if kept < self.size:
            self._map.madvise(mmap.MADV_DONTNEED, self._first + kept, self.size - kept)

    def array(self, dtype: Any, count: int = -1) -> Any:
        """Return the memory as an array."""
        size = np.dtype(dtype).itemsize
        return self._bytes[: (self.size // size if count < 0 else count) * size].view(dtype)


def segments_at(address: int, n: int) -> Any:
    """Return n segments at an address as an array that shares their memory, which must outlive it."""
    raw: Any = (ctypes.c_char * (n * SEGMENT.itemsize)).from_address(address)
    return np.frombuffer(raw, SEGMENT)


def _pages(size: int) -> int:
    """Return a size in whole pages, one at least."""
    return -(-max(size, 1) // mmap.PAGESIZE) * mmap.PAGESIZE
