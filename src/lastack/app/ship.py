"""Compiles the kernels that are shipped with the package, for all processors of a level; run when the package is built.

`hatch_build.py` at the root of the project calls it: `python -m lastack.app.ship standard`.
"""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from lastack.kernels import bundle, cache, provenance

#: Groups by kind of build; what Numba calls itself (`cache.INLINE`) is not stored. Who installs from a checkout waits
#: for it, and should not wait longer than a first analysis would take: replaying is compiled when it is asked for.
GROUPS = {
    "standard": (cache.TRACKING, cache.LIVE, cache.REPLAY),
    "editable": (cache.TRACKING, cache.LIVE),
}


@dataclass(frozen=True, slots=True)
class Level:
    """What a processor must have to run code.

    Attributes:
        processor: LLVM's name of a processor that has no more than that.
        features: What is added to it, in LLVM's words.
        flags: All of it in the words of /proc/cpuinfo.
    """

    processor: str
    features: str
    flags: tuple[str, ...]


_V3 = "3dnowprefetch abm avx avx2 bmi1 bmi2 cx16 f16c fma lahf_lm movbe pni popcnt sse4_1 sse4_2 ssse3 xsave"

#: By platform. x86-64-v3 is most servers since 2013 to 2017, most of which have PREFETCHW too.
LEVELS = {
    "linux-x86_64": Level("x86-64-v3", "+prfchw", tuple(_V3.split())),
    "linux-aarch64": Level("generic", "", ("asimd", "fp")),
}


def ship(build: str = "standard", path: Path = bundle.SHIPPED) -> bool:
    """Compile the kernels into a file, unless they are there already; return whether the file is there and is right.

    Sets the environment of this process, which must not have imported kernels yet.

    Args:
        build: Kind of build, of `GROUPS`.
        path: Where to.
    """
    level = LEVELS.get(bundle.platform_name())
    if level is None:
        _say(f"no level of processors is known for {bundle.platform_name()}")
        return False
    try:
        compiler = provenance.compiler()
    except ImportError as error:
        _say(str(error))
        return False
    groups = GROUPS[build]
    about = {
        "compiler": compiler,
        "flags": list(level.flags),
        "level": f"{level.processor}{level.features}",
        "platform": bundle.platform_name(),
        "sources": provenance.sources(),
    }
    with suppress(OSError, ValueError):
        there = bundle.unpack(path.read_bytes()).about
        if set(groups) <= set(there.pop("groups", ())) and there == about:
            return True
    kernels = _compile(level, groups)
    if not kernels:
        _say("a kernel could not be compiled")
        return False
    try:
        path.write_bytes(bundle.pack(kernels, {**about, "groups": list(groups)}))
    except OSError as error:
        _say(str(error))
        return False
    return True


def _compile(level: Level, groups: tuple[str, ...]) -> list[bundle.Stored]:
    with tempfile.TemporaryDirectory(prefix="lastack-ship-") as folder:
        for name in [name for name in os.environ if name.startswith(("NUMBA_", "LASTACK_"))]:
            del os.environ[name]
        os.environ |= {
            "LASTACK_CACHE": folder,
            "LASTACK_KERNELS": cache.LOCAL,
            "NUMBA_CPU_NAME": level.processor,
            "NUMBA_CPU_FEATURES": level.features,
        }
        from lastack.app import prepare

        if not prepare.compile_groups(groups):
            return []
        return [
            kernel
            for file in Path(folder).glob("*/*.kernel")
            for kernel in bundle.unpack(file.read_bytes()).kernels.values()
        ]


def _say(reason: str) -> None:
    print(f"lastack: {reason}, so no machine code is shipped: the first run compiles", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(0 if ship(sys.argv[1]) else 1)
