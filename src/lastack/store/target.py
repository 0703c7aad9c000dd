"""Where an export goes: a file that appears whole under its name, or a stream that is written as it comes."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO

from lastack.model.errors import AccessError, UsageError


class Target:
    """A binary stream to write to; `commit` makes it visible, `discard` leaves nothing behind.

    A regular file is written under a temporary name in the same folder and renamed, so that nobody ever reads
    half of it. `-` is standard output; devices and pipes are written directly.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._path: Path | None = None
        self._temporary: Path | None = None
        if name == "-":
            self.stream: BinaryIO = sys.stdout.buffer
            return
        path = Path(name)
        try:
            if path.is_dir():
                raise UsageError(f"{name}: is a folder; name a file in it")
            if path.exists() and not stat.S_ISREG(path.stat().st_mode):
                self.stream = path.open("wb")
                return
            handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
            self.stream = os.fdopen(handle, "wb")
        except PermissionError as reason:
            raise AccessError(
                f"{name}: cannot be written here ({reason.strerror}); choose another place"
            ) from None
        except FileNotFoundError:
            raise UsageError(f"{name}: the folder {path.parent} does not exist; create it first") from None
        self._path, self._temporary = path, Path(temporary)

    @property
    def is_stdout(self) -> bool:
        """Whether this is standard output, which is flushed but never closed."""
        return self.name == "-"

    def commit(self) -> None:
        """Finish the output and give a file its name."""
        if self.is_stdout:
            self.stream.flush()
            return
        self.stream.close()
        if self._temporary is not None and self._path is not None:
            self._temporary.chmod(_mode_of(self._path))
            self._temporary.replace(self._path)

    def discard(self) -> None:
        """Drop what was written; a stream keeps what it already has."""
        if self.is_stdout:
            return
        self.stream.close()
        if self._temporary is not None:
            self._temporary.unlink(missing_ok=True)


def _mode_of(path: Path) -> int:
    """Return the permissions a new file would have had, or those of the file that is replaced."""
    if path.exists():
        return stat.S_IMODE(path.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask
