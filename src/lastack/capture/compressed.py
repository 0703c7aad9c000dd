"""Decompressed bytes of gzip, zstd, bzip2, xz and lz4 streams of any number of members, in bounded memory."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Any, Protocol

from lastack.capture.formats import compression_of
from lastack.capture.problem import Problems
from lastack.capture.rawbytes import RawBytes

_CHUNK = 1 << 16
# Never as much as there is room for: where a damaged stream ends must not depend on who reads it.
_OUTPUT = 1 << 16
# zstandard's object has no output limit, and 4 bytes of input may make 128 KiB: little input at a time bounds a bomb.
_ZSTD_CHUNK = (256, 4096)
_ZSTD_PLENTY = 4 << 20


class _Member(Protocol):
    """One gzip member, zstd or lz4 frame, bzip2 or xz stream."""

    eof: bool
    unused_data: bytes

    @property
    def needs_input(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Gzip:
    """zlib's object in the manner of the other ones; it gives every byte that comes before damage."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(wbits=31)
        self._error: zlib.error | None = None

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail and self._error is None

    def decompress(self, data: bytes, max_length: int) -> bytes:
        if self._error is not None:
            raise self._error
        data = self._zlib.unconsumed_tail + data
        before = self._zlib.copy()
        try:
            return self._zlib.decompress(data, max_length)
        except zlib.error as error:
            self._error = error
            return _until_damage(before, data)


def _until_damage(member: Any, data: bytes) -> bytes:
    """Return what a zlib object makes of data up to the byte that it fails at; the failing call gives nothing."""
    parts = []
    size = len(data)
    while size:
        ahead = member.copy()
        try:
            parts.append(ahead.decompress(data[:size]))
        except zlib.error:
            size //= 2
        else:
            member, data = ahead, data[size:]
    return b"".join(parts)


class _Zstd:
    """zstandard's object in the manner of the other ones; `max_length` is kept by small inputs."""

    needs_input = True

    def __init__(self) -> None:
        import zstandard

        self._zstd: Any = zstandard.ZstdDecompressor().decompressobj()

    @property
    def eof(self) -> bool:
        return bool(self._zstd.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._zstd.unused_data)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return bytes(self._zstd.decompress(data))


def _lz4() -> Any:
    import lz4.frame

    return lz4.frame.LZ4FrameDecompressor()


_MEMBERS: dict[str, Callable[[], Any]] = {
    "gzip": _Gzip,
    "zstd": _Zstd,
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ),
    "lz4": _lz4,
}


def _errors(codec: str) -> tuple[type[Exception], ...]:
    common: tuple[type[Exception], ...] = (
        zlib.error,
        lzma.LZMAError,
        OSError,
        EOFError,
        ValueError,
        RuntimeError,
    )
    if codec == "zstd":
        import zstandard

        return (*common, zstandard.ZstdError)
    return common


class CompressedBytes:
    """A decompressed view of raw bytes; damage ends the stream and is noted, what came before it stays."""

    def __init__(self, raw: RawBytes, codec: str, problems: Problems) -> None:
        self._raw = raw
        self._codec = codec
        self._problems = problems
        self._errors = _errors(codec)
        self._chunk = _ZSTD_CHUNK[0] if codec == "zstd" else _CHUNK
        self._member: _Member | None = _MEMBERS[codec]()
        self._input = b""
        self._output: memoryview = memoryview(b"")

    def readinto(self, view: memoryview) -> int:
        """Put at least one byte at the start of a view and return how many; 0 at the end of the stream."""
        while not self._output:
            if self._member is None or not self._fill():
                return 0
        count = min(len(view), len(self._output))
        view[:count] = self._output[:count]
        self._output = self._output[count:]
        return count

    def ready(self, timeout_s: float) -> bool:
        """Tell whether bytes can be had without waiting longer than some seconds."""
        held = self._member is None or not self._member.needs_input
        return bool(self._output) or bool(self._input) or held or self._raw.ready(timeout_s)

    def _fill(self) -> bool:
        """Decompress some more; False at the end of the stream."""
        member = self._member
        assert member is not None
        if member.eof:
            return self._next_member(member.unused_data or b"")
        data = b""
        if member.needs_input:
            data, self._input = self._input or self._raw.read(self._chunk), b""
            if len(data) > self._chunk:
                data, self._input = data[: self._chunk], data[self._chunk :]
            if not data:
                self._stop(
                    f"the {self._codec} stream ends in the middle",
                    "what came before was read; copy the file again to have the rest",
                )
                return False
        try:
            self._output = memoryview(member.decompress(data, _OUTPUT))
        except self._errors as error:
            self._stop(
                f"the {self._codec} stream is damaged near compressed byte {self._raw.consumed}: {error}",
                "what came before was read; the rest is lost",
            )
            return False
        if self._codec == "zstd":
            low, high = _ZSTD_CHUNK
            self._chunk = low if len(self._output) > _ZSTD_PLENTY else min(2 * self._chunk, high)
        return True

    def _next_member(self, rest: bytes) -> bool:
        rest += self._input
        self._input = b""
        while len(rest.lstrip(b"\0")) < 8:
            # Padding with zero bytes between or after members is legal for xz and usual on tapes.
            chunk = self._raw.read(self._chunk)
            if not chunk:
                break
            rest = rest.lstrip(b"\0") + chunk
        rest = rest.lstrip(b"\0")
        if not rest:
            self._member = None
            return False
        if compression_of(rest[:64]) != self._codec:
            self._stop(
                f"bytes that are no {self._codec} follow the {self._codec} stream", "they were ignored"
            )
            return False
        self._member = _MEMBERS[self._codec]()
        self._input = rest
        return True

    def _stop(self, what: str, remedy: str) -> None:
        self._member = None
        self._problems.add(None, None, what, remedy)
