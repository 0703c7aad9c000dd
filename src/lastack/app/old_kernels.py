"""Compiled kernels that nobody has used for a month go when new ones are made: of old versions, or another compiler."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import time
from pathlib import Path

from lastack.kernels import cache

UNUSED_S = 30 * 86_400
_FOLDER = re.compile(r"kernels-[0-9a-f]{16}")
_GONE = "gone-"  #: before the name of a folder that is being removed


def remove_unused() -> list[str]:
    """Remove folders of compiled kernels that no process uses and none has used for `UNUSED_S`; return their names.

    A folder's time is that of its last use, and who uses one holds a lock on it (`lastack.kernels.cache.usable`). It is
    renamed first: a process that comes for it meanwhile makes a new one.
    """
    mine = cache.usable()
    if mine is None:
        return []
    removed = []
    try:
        found = sorted(mine.parent.iterdir())
    except OSError:
        return []
    for path in found:
        if path.name.startswith(_GONE) and _FOLDER.match(path.name, len(_GONE)):
            shutil.rmtree(path, ignore_errors=True)  # who renamed it was ended, or is at work on it too
        elif _FOLDER.fullmatch(path.name) and path != mine and (gone := _set_aside(path)):
            shutil.rmtree(gone, ignore_errors=True)
            removed.append(path.name)
    return removed


def _set_aside(path: Path) -> Path | None:
    """Rename a folder that is out of use; return its new path, None if it is not or it is not ours to remove."""
    handle = -1
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if time.time() - os.fstat(handle).st_mtime < UNUSED_S:
            return None
        return path.rename(path.with_name(f"{_GONE}{path.name}-{os.getpid()}"))
    except OSError:
        return None
    finally:
        if handle >= 0:
            os.close(handle)
