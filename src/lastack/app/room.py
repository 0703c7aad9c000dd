"""How much memory this process may use: what the machine has, and what its surroundings leave of it.

A container, a batch system or a strict kernel gives less than the machine has, and says so in a different place each.
"""

from __future__ import annotations

import os
import resource
from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")
_PROC = Path("/proc")
_UNKNOWN_MEMORY = 4 << 30  # bytes, where the system does not say
_NEVER_OVERCOMMIT = "2"


def memory_bytes() -> int:
    """Return the bytes of memory that may be used: those of the machine, or what a control group allows of them."""
    try:
        machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        machine = _UNKNOWN_MEMORY
    return min([machine, *_group_limits(_PROC, _GROUPS)])


def address_bytes() -> int | None:
    """Return the bytes of address space that are left to this process, None if nothing limits them.

    Limits are `ulimit -v` (RLIMIT_AS), and the promises that a kernel which never overcommits can still make.
    """
    left = []
    soft = resource.getrlimit(resource.RLIMIT_AS)[0]
    if soft != resource.RLIM_INFINITY:
        pages = int((_text(_PROC / "self/statm") or "0").split()[0])
        left.append(soft - pages * os.sysconf("SC_PAGE_SIZE"))
    promised = _promises_left(_PROC)
    if promised is not None:
        left.append(promised)
    return max(0, min(left)) if left else None


def _group_limits(proc: Path, groups: Path) -> list[int]:
    """Return the limits of the control groups that this process is in, of either version, ancestors included."""
    files = [groups / "memory.max", groups / "memory/memory.limit_in_bytes"]
    for line in _text(proc / "self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        place = path.strip("/")
        while place:
            if not controllers:
                files.append(groups / place / "memory.max")
            elif "memory" in controllers.split(","):
                files.append(groups / "memory" / place / "memory.limit_in_bytes")
            place = place.rpartition("/")[0]
    return [int(text) for text in map(_text, files) if text.isdigit()]


def _promises_left(proc: Path) -> int | None:
    """Return the bytes that the kernel can still promise if it promises only what it has, else None."""
    if _text(proc / "sys/vm/overcommit_memory") != _NEVER_OVERCOMMIT:
        return None
    sizes = dict(line.split(":", 1) for line in _text(proc / "meminfo").splitlines() if ":" in line)
    try:
        limit, used = (int(sizes[name].split()[0]) << 10 for name in ("CommitLimit", "Committed_AS"))
    except (KeyError, ValueError, IndexError):
        return None
    return limit - used


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""
