"""Where compiled kernels are kept: a folder for exactly these sources, this processor and this compiler.

Numba's own cache notices a change in the file of the entry kernel only, and would run stale code in silence; the
digest here covers every file that a kernel may read. Nothing heavy is imported.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import importlib.util
import os
import platform
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent

#: Modes of kernels: Python; Numba's own caller; machine code that another process stored; that other process.
INTERPRETED, NUMBA, STORED, COMPILING = "interpreted", "numba", "stored", "compiling"

#: Marks in the folder: groups that are complete, and that storing did not work here.
TRACKING, REPLAY, INLINE, LIVE = "prepared", "prepared-replay", "prepared-inline", "prepared-live"
BROKEN = "not-storable"


@functools.cache
def _sources_digest() -> str:
    digest = hashlib.sha256()
    for text in (os.environ.get("NUMBA_BOUNDSCHECK", ""), _processor(), *_compiler()):
        digest.update(text.encode() + b"\0")
    for folder in ("kernels", "model", "wire"):
        for path in sorted((_PACKAGE / folder).glob("*.py")):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _processor() -> str:
    """Return what names the processor and its instructions: code for one may not run on another."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    names = ("model name", "flags", "Features", "CPU part", "isa")
    return "\n".join(next((line for line in lines if line.startswith(name)), "") for name in names)


def _compiler() -> list[str]:
    """Return what names the versions of the packages that make the code."""
    return [version for name in ("numba", "llvmlite", "numpy") for version in _versions(name)]


def _versions(package: str) -> list[str]:
    found = importlib.util.find_spec(package)
    if found is not None and found.origin is not None:
        # the names of folders such as numba-0.61.0.dist-info say it without the parsers of e-mail that metadata loads
        folders = Path(found.origin).parent.parent.glob(f"{package}-*.*-info")
        if names := sorted(folder.name for folder in folders):
            return names
    from importlib import metadata

    return [metadata.version(package)]


def folder() -> Path:
    """Return the folder of compiled kernels for exactly these sources; `LASTACK_CACHE` moves its parent."""
    root = os.environ.get("LASTACK_CACHE")
    parent = (
        Path(root) if root else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lastack"
    )
    return parent / f"kernels-{_sources_digest()}"


@functools.cache
def usable() -> Path | None:
    """Return the folder, made if need be, or None if there is none to write to or none is wanted.

    This process keeps it from now on: `lastack.app.old_kernels` removes folders that nobody has used for long.
    """
    if os.environ.get("LASTACK_NO_CACHE", "") != "":
        return None
    try:
        path = folder()
        path.mkdir(parents=True, exist_ok=True)
        while not _kept(path):
            path.mkdir(exist_ok=True)
    except OSError:
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
    if os.environ.get("NUMBA_DISABLE_JIT", "0") not in ("", "0"):
        return INTERPRETED
    chosen = os.environ.get("LASTACK_KERNELS", "")
    if chosen in (NUMBA, COMPILING):
        return chosen
    path = usable()
    checked = os.environ.get("NUMBA_BOUNDSCHECK", "0") not in ("", "0")  # their errors need Numba's caller
    return NUMBA if checked or path is None or (path / BROKEN).exists() else STORED


def prefer_numba() -> None:
    """Let Numba itself call the kernels of this process, if they are not imported yet.

    Its call takes 0.4 µs, that of a stored kernel 5: for who calls one for each packet, and can wait half a second.
    """
    if "lastack.kernels._jit" not in sys.modules:
        os.environ.setdefault("LASTACK_KERNELS", NUMBA)
        mode.cache_clear()


#: Compiles a kernel in another process, given its name and kinds of arguments as bytes, and returns it as bytes; set by
#: a floor that may start processes.
compile_missing: Callable[[bytes], bytes] | None = None


def is_prepared(group: str = TRACKING) -> bool:
    """Return whether a group of compiled kernels is in the cache (or none are to be compiled or kept)."""
    path = usable()
    return mode() == INTERPRETED or path is None or (path / group).exists()


def mark(group: str = TRACKING) -> None:
    """Leave a mark in the folder."""
    path = usable()
    if path is not None:
        (path / group).touch()
