"""What machine code depends on: the sources, the compiler, the processor. Nothing heavy is imported.

Numba's own cache notices a change in the file of the entry kernel only, and would run stale code in silence; the digest
here covers every file that a kernel may read.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
import platform
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent

#: Lines of /proc/cpuinfo that tell one processor from another.
_NAMES = ("model name", "flags", "Features", "CPU part", "isa")


@functools.cache
def sources() -> str:
    """Return a digest of every source file that a kernel may read."""
    digest = hashlib.sha256()
    for folder in ("kernels", "model", "wire"):
        for path in sorted((_PACKAGE / folder).glob("*.py")):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def here() -> str:
    """Return a digest of all that code depends on which this very machine compiles for itself."""
    settings = [os.environ.get(f"NUMBA_{name}", "") for name in ("BOUNDSCHECK", "CPU_NAME", "CPU_FEATURES")]
    said = "\0".join([sources(), *settings, *map(str, _processor().items()), *compiler()])
    return hashlib.sha256(said.encode()).hexdigest()[:16]


def flags() -> frozenset[str]:
    """Return what this processor can do, in Linux's words; nothing where the system does not tell."""
    said = _processor()
    return frozenset((said.get("flags") or said.get("Features") or "").split())


@functools.cache
def _processor() -> dict[str, str]:
    """Return what names the processor and its instructions: code for one may not run on another."""
    found: dict[str, str] = {}
    try:
        with Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as lines:
            for line in lines:
                name, _, value = line.partition(":")
                if name.strip() in _NAMES:
                    found[name.strip()] = value.strip()
                elif found and not line.strip():
                    break  # the other processors are the same, and may be hundreds
    except OSError:
        return {"processor": platform.processor()}
    return found


def compiler() -> list[str]:
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
