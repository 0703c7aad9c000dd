"""Where compiled kernels are: they came with the package, or this machine has compiled and kept them.

What is kept is in a folder for exactly these sources, this processor and this compiler (`lastack.kernels.provenance`).
Nothing heavy is imported.
"""

from __future__ import annotations

import fcntl
import functools
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from lastack.kernels import bundle, provenance

#: Modes of kernels: Python; Numba's own caller; machine code that another process stored; that other process.
INTERPRETED, NUMBA, STORED, COMPILING = "interpreted", "numba", "stored", "compiling"

#: For `LASTACK_KERNELS`: stored machine code, but only what this machine compiled.
LOCAL = "local"

#: Marks in the folder: groups that are complete, and that storing did not work here.
TRACKING, REPLAY, INLINE, LIVE = "prepared", "prepared-replay", "prepared-inline", "prepared-live"
BROKEN = "not-storable"


@functools.cache
def shipped() -> bundle.Bundle | None:
    """Return the kernels that the package brought along, None if there are none that may be used here."""
    if (
        _is_interpreted()
        or _is_checked()
        or os.environ.get("LASTACK_KERNELS", "") in (NUMBA, COMPILING, LOCAL)
    ):
        return None
    return bundle.shipped()


def folder() -> Path:
    """Return the folder of compiled kernels for exactly these sources; `LASTACK_CACHE` moves its parent."""
    root = os.environ.get("LASTACK_CACHE")
    parent = (
        Path(root) if root else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lastack"
    )
    return parent / f"kernels-{provenance.here()}"


def is_wanted() -> bool:
    """Return whether kernels may be kept in a folder; `LASTACK_NO_CACHE` turns that off."""
    return os.environ.get("LASTACK_NO_CACHE", "") == ""


@functools.cache
def usable() -> Path | None:
    """Return the folder, made if need be, or None if there is none to write to or none is wanted.

    This process keeps it from now on: `lastack.app.old_kernels` removes folders that nobody has used for long.
    """
    if not is_wanted():
        return None
    try:
        path = folder()
        path.mkdir(parents=True, exist_ok=True)
        while not _kept(path):
            path.mkdir(exist_ok=True)
    except (OSError, RuntimeError):  # there is no home
        return None
    return path


def _kept(path: Path) -> bool:
    """Lock a folder for the life of this process and note its use; return whether it still is the one of that name."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return False
    with suppress(OSError):  # a file system without locks: then its age alone protects it
        fcntl.flock(handle, fcntl.LOCK_SH)
    try:
        same = os.path.samestat(path.stat(), os.fstat(handle))
    except OSError:
        same = False
    if not same:
        os.close(handle)
        return False
    with suppress(OSError):  # it belongs to another user
        os.utime(path)
    return True


@functools.cache
def mode() -> str:
    """Return how kernels run in this process; `LASTACK_KERNELS` chooses."""
    if _is_interpreted():
        return INTERPRETED
    chosen = os.environ.get("LASTACK_KERNELS", "")
    if chosen in (NUMBA, COMPILING):
        return chosen
    if _is_checked():
        return NUMBA
    return STORED if _is_storable() else NUMBA


def _is_interpreted() -> bool:
    return os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0")


def _is_checked() -> bool:
    """Return whether indices are checked: their errors need Numba's caller."""
    return os.environ.get("NUMBA_BOUNDSCHECK", "0") not in ("", "0")


def _is_storable() -> bool:
    """Return whether kernels can be had as stored machine code; shipped ones need no folder."""
    if shipped() is None:
        path = usable()
        return path is not None and not (path / BROKEN).exists()
    try:
        return not is_wanted() or not (folder() / BROKEN).exists()
    except (OSError, RuntimeError):
        return True


def prefer_numba() -> None:
    """Let Numba itself call the kernels of this process, if they are not imported yet.

    Its call takes 0.4 µs, that of a stored kernel 5: for who calls one for each packet, and can wait half a second.
    """
    if "lastack.kernels._jit" not in sys.modules:
        os.environ.setdefault("LASTACK_KERNELS", NUMBA)
        mode.cache_clear()
        shipped.cache_clear()


#: Compiles a kernel in another process, given its name and kinds of arguments as bytes, and returns it as bytes; set by
#: a floor that may start processes.
compile_missing: Callable[[bytes], bytes] | None = None


def is_prepared(group: str = TRACKING) -> bool:
    """Return whether a group of compiled kernels is shipped or in the cache (or none are to be compiled or kept)."""
    ours = shipped()
    if mode() == INTERPRETED or (ours is not None and mode() == STORED and group in ours.about["groups"]):
        return True
    path = usable()
    return path is None or (path / group).exists()


def mark(group: str = TRACKING) -> None:
    """Leave a mark in the folder."""
    path = usable()
    if path is not None:
        (path / group).touch()
