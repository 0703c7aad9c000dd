"""Several files as one capture: rotated series, and the order in which files are read."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from lastack.capture.source import Capture, open_capture
from lastack.model.errors import LastackError, UsageError


@dataclass(frozen=True, slots=True)
class CaptureFile:
    """One file to read.

    Attributes:
        path: Its name.
        first_ns: Time of its first packet; None for pipes and files without packets.
        clock_ns: What is taken off its times.
    """

    path: str
    first_ns: int | None
    clock_ns: int = 0


@dataclass(slots=True)
class CaptureOrder:
    """Files in the order of their first packets, and those that cannot be read, each with the reason."""

    files: list[CaptureFile] = field(default_factory=list)
    rejected: list[LastackError] = field(default_factory=list)


#: Opens a capture to look at its start.
Opener = Callable[[str], AbstractContextManager[Capture]]


def order_captures(
    paths: Iterable[str | os.PathLike[str]],
    opener: Opener = open_capture,
    clock_ns: Mapping[str, int] | None = None,
) -> CaptureOrder:
    """Return files sorted by the time of their first packet, then by name; pipes come last, as given.

    Args:
        paths: Capture files; `-` is standard input.
        opener: How to open one.
        clock_ns: What is taken off the times of some of them.

    Raises:
        UsageError: The same file was given twice, or standard input more than once.
        LastackError: Not one of the files can be read (the reason of the first).
    """
    order = CaptureOrder()
    pipes: list[CaptureFile] = []
    seen: dict[object, str] = {}
    for path in [os.fspath(path) for path in paths]:
        identity = _identity(path)
        if identity in seen:
            same = "" if seen[identity] == path else f" (as {seen[identity]})"
            raise UsageError(f"{path}: given twice{same}; its packets would be counted twice: name it once")
        seen[identity] = path
        if path == "-" or not _is_regular(path):
            # The first packet of a pipe could not be read again.
            pipes.append(CaptureFile(path, None))
            continue
        try:
            with opener(path) as capture:
                first_ns = capture.first_time_ns()
        except LastackError as error:
            order.rejected.append(error)
            continue
        ahead_ns = clock_ns.get(path, 0) if clock_ns else 0
        order.files.append(CaptureFile(path, None if first_ns is None else first_ns - ahead_ns, ahead_ns))
    if order.rejected and not order.files and not pipes:
        raise order.rejected[0]
    order.files.sort(key=lambda file: (file.first_ns is None, file.first_ns or 0, _natural(file.path)))
    order.files += pipes
    return order


def rotated_series(path: str | os.PathLike[str]) -> list[str]:
    """Return the files of the rotated series that a file belongs to, in name order; itself if it is alone.

    Known are the names of tcpdump -C (`x.pcap x.pcap1`), of dumpcap -b (`x_00001_20240131120000.pcapng`), and of
    logrotate (`x.pcap x.pcap.1 x.pcap.2.gz`).
    """
    given = Path(path)
    if not given.is_file():
        return [os.fspath(path)]
    names = [entry.name for entry in given.parent.iterdir() if entry.is_file()]
    found = [given.name]
    for pattern in _series_patterns(given.name):
        members = [name for name in names if pattern.fullmatch(name)]
        if len(members) > len(found):
            found = members
    return [str(given.with_name(name)) for name in sorted(found, key=_natural)]


_DUMPCAP = re.compile(r"(?P<stem>.*)_\d{5,}_\d{14}(?P<rest>\.[a-z]+(\.[a-z0-9]+)?)?")
_NUMBERED = re.compile(
    r"(?P<stem>.*?\.(?:pcap|pcapng|cap|dmp|dump))(?P<rest>\.?\d*(?:\.(?:gz|zst|bz2|xz|lz4))?)"
)


def _series_patterns(name: str) -> list[re.Pattern[str]]:
    patterns = []
    if match := _DUMPCAP.fullmatch(name):
        rest = re.escape(match["rest"] or "")
        patterns.append(re.compile(rf"{re.escape(match['stem'])}_\d{{5,}}_\d{{14}}{rest}"))
    if match := _NUMBERED.fullmatch(name):
        patterns.append(re.compile(rf"{re.escape(match['stem'])}(?:\.?\d+)?(?:\.(?:gz|zst|bz2|xz|lz4))?"))
    return patterns


def _natural(name: str) -> tuple[tuple[int, int | str], ...]:
    """Return a sort key in which `x.pcap10` follows `x.pcap9`."""
    parts = re.split(r"(\d+)", name)
    return tuple((0, int(part)) if part.isdigit() else (1, part) for part in parts if part)


def _identity(path: str) -> object:
    try:
        status = Path(path).stat() if path != "-" else None
    except (OSError, ValueError):
        return path
    return path if status is None else (status.st_dev, status.st_ino)


def _is_regular(path: str) -> bool:
    try:
        mode = Path(path).stat().st_mode
    except (OSError, ValueError):
        return True  # opening it will tell why it cannot be read
    return stat.S_ISREG(mode) or stat.S_ISDIR(mode)
