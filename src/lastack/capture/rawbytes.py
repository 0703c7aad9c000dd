"""Bytes as they come from a file, a pipe or a growing file: one reader that counts, looks ahead and waits."""

from __future__ import annotations

import errno
import os
import select
import stat
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from lastack.model.errors import AccessError, InputError

#: Called when a growing file has no more bytes yet; False ends the reading.
Wait = Callable[[], bool]

_NAP_S = 0.2


def nap() -> bool:
    """Sleep a little and go on for ever: the way to wait unless the caller has a better one."""
    time.sleep(_NAP_S)
    return True


class ByteStream(Protocol):
    """What the window buffer reads from: raw bytes or decompressed ones."""

    def readinto(self, view: memoryview) -> int:
        """Put at least one byte at the start of a view and return how many; 0 at the end of the stream."""

    def ready(self, timeout_s: float) -> bool:
        """Tell whether `readinto` would return without waiting, now or within some seconds."""


class RawBytes:
    """The bytes of one input, counted as they are consumed.

    Attributes:
        name: What the user called it.
        size: Bytes of a regular file, None for pipes.
        consumed: Bytes read so far.
        regular: It is a plain file, which can be mapped.
    """

    def __init__(
        self, path: str | os.PathLike[str], *, follow: bool = False, wait: Wait | None = None
    ) -> None:
        self.name = os.fspath(path)
        self.consumed = 0
        self.follow = follow
        self._wait = wait or nap
        self._ahead = b""
        self._owned = self.name != "-"
        self._fd = _open(self.name) if self._owned else _standard_input()
        status = os.fstat(self._fd)
        self.regular = stat.S_ISREG(status.st_mode)
        self.size = status.st_size if self.regular else None
        self._identity = (status.st_dev, status.st_ino)

    def fileno(self) -> int:
        """Return the file descriptor."""
        return self._fd

    def peek(self, count: int, least: int) -> bytes:
        """Return some first bytes without consuming them: at least the one, at most the other number if they exist."""
        while len(self._ahead) < count:
            if len(self._ahead) >= least and not self.ready(0.0, beyond_peek=True):
                break
            chunk = self._read(count - len(self._ahead))
            if not chunk:
                break
            self._ahead += chunk
        return self._ahead[:count]

    def read(self, count: int) -> bytes:
        """Return at least one and at most so many bytes; none at the end of the input."""
        if self._ahead:
            chunk, self._ahead = self._ahead[:count], self._ahead[count:]
        else:
            chunk = self._read(count)
        self.consumed += len(chunk)
        return chunk

    def readinto(self, view: memoryview) -> int:
        """Put at least one byte at the start of a view and return how many; 0 at the end of the input."""
        if self._ahead:
            chunk = self.read(len(view))
            view[: len(chunk)] = chunk
            return len(chunk)
        while True:
            try:
                count = os.readv(self._fd, [view])
            except OSError as error:
                raise _read_error(self.name, error) from error
            if count or not self._grows():
                self.consumed += count
                return count

    def ready(self, timeout_s: float, beyond_peek: bool = False) -> bool:
        """Tell whether bytes, or the end, can be had without waiting longer than some seconds."""
        if self._ahead and not beyond_peek:
            return True
        if self.regular:
            # A growing file at its end would wait for the writer.
            return not self.follow or os.fstat(self._fd).st_size > os.lseek(self._fd, 0, os.SEEK_CUR)
        try:
            return bool(select.select([self._fd], [], [], max(0.0, timeout_s))[0])
        except (OSError, ValueError):
            return True

    def close(self) -> None:
        """Close the input unless it is standard input."""
        if self._owned and self._fd >= 0:
            os.close(self._fd)
        self._fd = -1

    def _read(self, count: int) -> bytes:
        while True:
            try:
                chunk = os.read(self._fd, count)
            except OSError as error:
                raise _read_error(self.name, error) from error
            if chunk or not self._grows():
                return chunk

    def _grows(self) -> bool:
        """At the end of the input: wait for more and tell whether some may come."""
        if not self.follow or not self.regular:
            return False
        rotated = False
        try:
            status = Path(self.name).stat() if self._owned else None
            rotated = status is not None and (status.st_dev, status.st_ino) != self._identity
        except OSError:
            rotated = True
        # A file that was renamed or removed grows no more once its last bytes are read.
        return not rotated and self._wait()


def _standard_input() -> int:
    try:
        fd = sys.stdin.fileno()
    except (AttributeError, OSError, ValueError):
        fd = 0
    if os.isatty(fd):
        raise InputError(
            "-: standard input is the terminal; give a file, or pipe a capture in: tcpdump -w - | …"
        )
    return fd


def _open(name: str) -> int:
    if Path(name).is_dir():
        raise InputError(
            f"{name}: this is a folder; give the capture files in it, such as {name.rstrip('/')}/*.pcap"
        )
    try:
        return os.open(name, os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError as error:
        raise AccessError(
            f"{name}: no permission to read it; ask its owner, or run as a user who may"
        ) from error
    except FileNotFoundError as error:
        raise InputError(f"{name}: there is no such file; check the name") from error
    except (OSError, ValueError) as error:
        raise InputError(
            f"{name}: it cannot be opened: {getattr(error, 'strerror', None) or error}"
        ) from error


def _read_error(name: str, error: OSError) -> InputError | AccessError:
    if error.errno in (errno.EACCES, errno.EPERM):
        return AccessError(f"{name}: no permission to read it; ask its owner, or run as a user who may")
    return InputError(f"{name}: reading failed: {error.strerror or error}; check the disk, then try again")
