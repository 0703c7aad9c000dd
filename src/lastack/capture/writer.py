"""Writers of pcap (nanoseconds) and pcapng: to cut packets out of captures, and to make captures for tests.

A file appears under its name only when it is complete: it is written under a temporary name and renamed on close.
"""

from __future__ import annotations

import contextlib
import os
import struct
import sys
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from lastack.model.errors import AccessError, InputError

_NS_PER_S = 1_000_000_000
_U32_MAX = (1 << 32) - 1
_U64_MAX = (1 << 64) - 1


class _Writer:
    """A file that appears when it is complete; `-` is standard output."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.name = os.fspath(path)
        self.packets = 0
        self._part = ""
        self._file: BinaryIO
        if self.name == "-":
            self._file = sys.stdout.buffer
            return
        target = Path(self.name)
        self._part = str(target.with_name(f".{target.name}.{os.getpid()}.part"))
        try:
            self._file = Path(self._part).open("wb", buffering=1 << 18)  # noqa: SIM115  (closed by `close`)
        except PermissionError as error:
            raise AccessError(f"{self.name}: no permission to write there; choose another folder") from error
        except OSError as error:
            raise InputError(
                f"{self.name}: cannot be written: {error.strerror}; choose another place"
            ) from error

    def close(self) -> None:
        """Complete the file and give it its name."""
        if self._part:
            self._file.close()
            Path(self._part).replace(self.name)
            self._part = ""
        else:
            self._file.flush()

    def discard(self) -> None:
        """Give up: remove what was written."""
        if self._part:
            self._file.close()
            with contextlib.suppress(FileNotFoundError):
                Path(self._part).unlink()
            self._part = ""

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()


class PcapWriter(_Writer):
    """Writes classic pcap with nanosecond times and one link type.

    Args:
        path: File name, or `-` for standard output.
        link: Link type number.
        snaplen: Snap length told in the header, bytes.
    """

    def __init__(self, path: str | os.PathLike[str], link: int = 1, snaplen: int = 262_144) -> None:
        super().__init__(path)
        self._file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, snaplen, link))

    def write(self, ts_ns: int, data: bytes | memoryview, wirelen: int | None = None) -> None:
        """Write one packet; a time that the format cannot hold (before 1970, after 2106) is cut to its range.

        Args:
            ts_ns: Nanoseconds since the epoch.
            data: Bytes captured.
            wirelen: Bytes on the wire, all captured by default.
        """
        seconds, ns = divmod(min(max(ts_ns, 0), (_U32_MAX + 1) * _NS_PER_S - 1), _NS_PER_S)
        size = len(data)
        self._file.write(struct.pack("<IIII", seconds, ns, size, size if wirelen is None else wirelen))
        self._file.write(data)
        self.packets += 1

    def __enter__(self) -> PcapWriter:
        return self


def _padded(data: bytes | memoryview) -> bytes:
    return bytes(data) + bytes(-len(data) % 4)


def _option(code: int, value: bytes) -> bytes:
    value = value[:65_535]
    return struct.pack("<HH", code, len(value)) + _padded(value)


def _options(pairs: list[tuple[int, bytes]]) -> bytes:
    written = b"".join(_option(code, value) for code, value in pairs if value)
    return written + bytes(4) if written else b""


class PcapngWriter(_Writer):
    """Writes pcapng: one section, any number of interfaces, nanosecond times, comments on packets.

    Args:
        path: File name, or `-` for standard output.
        application: Program that is told to have written the file.
        comment: Comment on the whole file.
    """

    def __init__(self, path: str | os.PathLike[str], application: str = "lastack", comment: str = "") -> None:
        super().__init__(path)
        self._interfaces = 0
        options = _options([(1, comment.encode()), (4, application.encode())])
        self._block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + options)

    def add_interface(self, link: int = 1, snaplen: int = 0, name: str = "", description: str = "") -> int:
        """Describe an interface and return its number.

        Args:
            link: Link type number.
            snaplen: Snap length in bytes, 0 for none.
            name: Name, such as `eth0`.
            description: Words on it.
        """
        options = _options([(2, name.encode()), (3, description.encode()), (9, b"\x09")])
        self._block(1, struct.pack("<HHI", link, 0, snaplen) + options)
        self._interfaces += 1
        return self._interfaces - 1

    def write(
        self,
        ts_ns: int,
        data: bytes | memoryview,
        wirelen: int | None = None,
        interface: int = 0,
        comment: str = "",
    ) -> None:
        """Write one packet; a time before 1970 is cut to 0.

        Args:
            ts_ns: Nanoseconds since the epoch.
            data: Bytes captured.
            wirelen: Bytes on the wire, all captured by default.
            interface: Number that `add_interface` returned.
            comment: Comment on this packet.
        """
        if not 0 <= interface < self._interfaces:
            raise ValueError(f"interface {interface} was not added")
        ticks, size = min(max(ts_ns, 0), _U64_MAX), len(data)
        wire = size if wirelen is None else wirelen
        head = struct.pack("<IIIII", interface, ticks >> 32, ticks & _U32_MAX, size, wire)
        self._block(6, head + _padded(data) + _options([(1, comment.encode())]))
        self.packets += 1

    def __enter__(self) -> PcapngWriter:
        return self

    def _block(self, kind: int, body: bytes) -> None:
        size = struct.pack("<I", 12 + len(body))
        self._file.write(struct.pack("<I", kind) + size + body + size)
