"""Files of machine code: a line of JSON that names each kernel, then their object files, one behind the other.

The cache has one kernel in each file, as several processes make them side by side; what is shipped with the package
has all in one.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lastack.kernels import provenance

#: Where the build of the package puts what it has compiled (`lastack.app.ship`).
SHIPPED = Path(__file__).with_name("shipped.kernels")


@dataclass(frozen=True, slots=True)
class Stored:
    """A compiled kernel.

    Attributes:
        code: Object file (ELF).
        symbol: Name of its function; no two kernels share one.
        result: `int64`, `uint64`, `flag` or `none`.
    """

    code: bytes
    symbol: str
    result: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """The content of a file of machine code.

    Attributes:
        kernels: Kernels by symbol.
        about: What else its first line says: who made it, for what.
    """

    kernels: dict[str, Stored]
    about: dict[str, Any] = field(default_factory=dict)


def pack(kernels: Iterable[Stored], about: dict[str, Any] | None = None) -> bytes:
    """Return the bytes of a file of machine code."""
    ordered = sorted(kernels, key=lambda kernel: kernel.symbol)
    table = [[kernel.symbol, kernel.result, len(kernel.code)] for kernel in ordered]
    head = json.dumps({**(about or {}), "kernels": table}, sort_keys=True)
    return b"\n".join([head.encode(), b"".join(kernel.code for kernel in ordered)])


def unpack(data: bytes) -> Bundle:
    """Return what is in a file of machine code.

    Raises:
        ValueError: It is damaged, or no such file.
    """
    end = data.find(b"\n") + 1
    about = json.loads(data[:end])
    kernels: dict[str, Stored] = {}
    try:
        for symbol, result, size in about.pop("kernels"):
            kernels[symbol] = Stored(data[end : end + size], symbol, result)
            end += size
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("this is no file of machine code") from error
    if end != len(data):
        raise ValueError("a file of machine code has another length than it says")
    return Bundle(kernels, about)


def platform_name() -> str:
    """Return the system and the kind of machine, such as `linux-x86_64`."""
    return f"{sys.platform}-{os.uname().machine}"


@functools.cache
def shipped() -> Bundle | None:
    """Return what the package brought along; None if that is nothing for these sources and this processor."""
    with suppress(OSError, ValueError, KeyError):
        found = unpack(SHIPPED.read_bytes())
        about = found.about
        if (
            about.get("platform") == platform_name()
            and about.get("sources") == provenance.sources()
            and provenance.flags().issuperset(about["flags"])
        ):
            return found
    return None
