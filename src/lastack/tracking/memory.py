"""Reserved memory: address space that costs nothing until it is touched, so that tables grow without moving."""

from __future__ import annotations

import mmap
from typing import Any

import numpy as np

from lastack.model.batch import SEGMENT

#: A segment as bytes: NumPy moves these with one copy each, and the fields of a structure one by one, 20 times slower.
RAW = np.dtype((np.void, SEGMENT.itemsize))

_MAP_NORESERVE = 0x4000
_HUGE = 2 << 20


class Reserve:
    """A stretch of zeroed memory; only touched pages count.

    Args:
        size: Bytes of address space.

    Raises:
        MemoryError: The system refuses that much address space.
    """

    def __init__(self, size: int) -> None:
        size = -(-max(size, mmap.PAGESIZE) // mmap.PAGESIZE) * mmap.PAGESIZE
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _MAP_NORESERVE
        try:
            self._map = mmap.mmap(-1, size, flags=flags, prot=mmap.PROT_READ | mmap.PROT_WRITE)
        except OSError as error:
            raise MemoryError(f"cannot reserve {size} bytes of address space") from error
        self._bytes: Any = np.frombuffer(self._map, np.uint8)
        self.size = size
        self.address = int(self._bytes.ctypes.data)

    def use_huge_pages(self) -> None:
        """Ask for large pages from now on: first touches and look-ups of a big table get cheaper."""
        start = -self.address % _HUGE
        if self.size - start >= _HUGE and hasattr(mmap, "MADV_HUGEPAGE"):
            try:
                self._map.madvise(mmap.MADV_HUGEPAGE, start // mmap.PAGESIZE * mmap.PAGESIZE)
            except OSError:
                return  # only a hint

    def array(self, dtype: Any, count: int = -1) -> Any:
        """Return the memory as an array."""
        size = np.dtype(dtype).itemsize
        return self._bytes[: (self.size // size if count < 0 else count) * size].view(dtype)
