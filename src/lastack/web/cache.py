"""Answers that are kept as long as the data they were made from."""

from __future__ import annotations

import gzip
import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

_GZIP_FROM = 2_000  # bytes; less does not pay


@dataclass(frozen=True, slots=True)
class Body:
    """An answer as it goes out.

    Attributes:
        plain: The JSON text.
        packed: The same, compressed; empty where that does not pay.
        tag: Its ETag.
    """

    plain: bytes
    packed: bytes
    tag: str

    @classmethod
    def of(cls, plain: bytes) -> Body:
        """Return an answer of a JSON text."""
        packed = gzip.compress(plain, 5, mtime=0) if len(plain) >= _GZIP_FROM else b""
        return cls(plain, packed, f'"{hashlib.sha256(plain).hexdigest()[:24]}"')

    @property
    def size(self) -> int:
        """Bytes that keeping it takes."""
        return len(self.plain) + len(self.packed) + 200


class Cache:
    """Answers by question, those asked for latest; never more than so many bytes.

    Args:
        most: Bytes at most.
    """

    def __init__(self, most: int = 64 << 20) -> None:
        self._most, self._size = most, 0
        self._kept: OrderedDict[Any, Body] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Return how many answers are kept."""
        return len(self._kept)

    def get(self, key: Any) -> Body | None:
        """Return the answer to a question, None if it is not kept."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: Any, body: Body) -> None:
        """Keep an answer; the ones not asked for go."""
        if body.size > self._most // 4:
            return
        with self._lock:
            old = self._kept.pop(key, None)
            self._size += body.size - (old.size if old is not None else 0)
            self._kept[key] = body
            while self._size > self._most:
                self._size -= self._kept.popitem(last=False)[1].size
