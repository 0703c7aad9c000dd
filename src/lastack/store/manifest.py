"""The manifest of a dataset: which segments count, what was read to make them, whether that was all.

The manifest decides: a file that it does not name is no part of the dataset. It is replaced by a rename, in an S3
store by one object, so that a reader sees either the old state or the new one.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lastack import __version__
from lastack.model.errors import AccessError, InputError
from lastack.model.fields import SCHEMA_VERSION
from lastack.store.s3 import S3Folder

NAME = "manifest.json"
FORMAT = "lastack-dataset"
#: `growing`: a run is writing it (or was killed); `partial`: a run said that it stopped early; `complete`.
STATES = ("growing", "partial", "complete")


@dataclass(frozen=True, slots=True)
class Segment:
    """One immutable Parquet file.

    Attributes:
        file: Name in the dataset's folder.
        rows: Sessions in it.
        size: Bytes of the file.
        start_ns: Earliest and latest `start_ns` of its rows.
    """

    file: str
    rows: int
    size: int
    start_ns: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ClockDifference:
    """How the clocks of two sensors differ; a sensor is a capture, or a series of rotated ones named by the first.

    Attributes:
        first: One sensor.
        second: The other.
        offset_ns: The second's clock less the first's.
        uncertainty_ns: It is within this of `offset_ns`.
        by: `packets` that both saw, in both directions; `packets_one_way`, where the way between the sensors is part of
            the offset; `handshakes`, where an answer came before its SYN: then the second is behind at least so much.
        packets: How many packets tell it.
        shared: Part of the smaller sensor's packets that the other saw too, 0 to 1.
        drift_ppm: How the offset grows, in microseconds a second; None if the captures are too short to tell.
        drift_error_ppm: Standard error of it.
        order_affected: It is larger than the quickest answer, so packets of the two are in the wrong order.
    """

    first: str
    second: str
    offset_ns: int
    uncertainty_ns: int
    by: str
    packets: int
    shared: float
    drift_ppm: float | None
    drift_error_ppm: float | None
    order_affected: bool


@dataclass(frozen=True, slots=True)
class Run:
    """What one run read: the ledger of its packets, and the time it covers.

    Attributes:
        captures: Names of what was read, in order.
        first_ns: Time of the first packet, None without packets.
        last_ns: Time of the last packet, None without packets.
        sessions: Rows written.
        evicted: Rows that left early because the session table was full.
        packets: Packets read.
        segments: Packets of sessions.
        stray: Packets of stray rows.
        drops: Packets that are in no row, by reason.
        encaps: Packets of each wrapping.
        links: Packets of each link type number.
        backwards: Packets earlier than the one before them in their capture.
        lost: Entries of gap profiles and hole lists that did not fit, by kind.
        problems: What was wrong with the input, for people.
        duplicates: Packets that another sensor saw too and that were left out, as was asked for.
        clocks: How the clocks of sensors differ, as far as packets tell.
        clock_offsets: What was taken off the times of captures, in ns, as was asked for.
    """

    captures: tuple[str, ...] = ()
    first_ns: int | None = None
    last_ns: int | None = None
    sessions: int = 0
    evicted: int = 0
    packets: int = 0
    segments: int = 0
    stray: int = 0
    drops: Mapping[str, int] = field(default_factory=dict)
    encaps: Mapping[str, int] = field(default_factory=dict)
    links: Mapping[str, int] = field(default_factory=dict)
    backwards: int = 0
    lost: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    duplicates: int = 0
    clocks: tuple[ClockDifference, ...] = ()
    clock_offsets: Mapping[str, int] = field(default_factory=dict)

    @property
    def residual(self) -> int:
        """Packets that are neither in a row nor counted as dropped; 0 when the ledger balances."""
        return self.packets - self.segments - self.stray - sum(self.drops.values()) - self.duplicates

    def merged(self, other: Run) -> Run:
        """Return both runs as one."""
        firsts = [ns for ns in (self.first_ns, other.first_ns) if ns is not None]
        lasts = [ns for ns in (self.last_ns, other.last_ns) if ns is not None]
        return Run(
            captures=self.captures + other.captures,
            first_ns=min(firsts, default=None),
            last_ns=max(lasts, default=None),
            sessions=self.sessions + other.sessions,
            evicted=self.evicted + other.evicted,
            packets=self.packets + other.packets,
            segments=self.segments + other.segments,
            stray=self.stray + other.stray,
            drops=_summed(self.drops, other.drops),
            encaps=_summed(self.encaps, other.encaps),
            links=_summed(self.links, other.links),
            backwards=self.backwards + other.backwards,
            lost=_summed(self.lost, other.lost),
            problems=self.problems + other.problems,
            duplicates=self.duplicates + other.duplicates,
            clocks=self.clocks + other.clocks,
            clock_offsets={**self.clock_offsets, **other.clock_offsets},
        )


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything about a dataset that is not a row."""

    state: str
    segments: tuple[Segment, ...] = ()
    runs: tuple[Run, ...] = ()
    schema_version: int = SCHEMA_VERSION
    lastack_version: str = __version__

    @property
    def rows(self) -> int:
        """Sessions in all segments."""
        return sum(segment.rows for segment in self.segments)

    @property
    def run(self) -> Run:
        """All runs as one."""
        whole = Run()
        for run in self.runs:
            whole = whole.merged(run)
        return whole


def run_from_json(content: Mapping[str, Any]) -> Run:
    """Return the run that JSON values tell of.

    Raises:
        KeyError, TypeError: They are not those of a run.
    """
    told: dict[str, Any] = dict(content)
    told["clocks"] = tuple(ClockDifference(**pair) for pair in told.get("clocks", ()))
    return Run(**{**told, "captures": tuple(told["captures"]), "problems": tuple(told["problems"])})


def _summed(first: Mapping[str, int], second: Mapping[str, int]) -> dict[str, int]:
    return {name: first.get(name, 0) + second.get(name, 0) for name in [*first, *second]}


def write_manifest(folder: Path | S3Folder, manifest: Manifest) -> None:
    """Replace the manifest of a dataset at once."""
    content = {"format": FORMAT, **asdict(manifest), "rows": manifest.rows}
    if isinstance(folder, S3Folder):
        (folder / NAME).write_bytes(json.dumps(content, indent=1, ensure_ascii=False).encode() + b"\n")
        return
    handle, temporary = tempfile.mkstemp(prefix=f".{NAME}.", suffix=".tmp", dir=folder)
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        json.dump(content, stream, indent=1, ensure_ascii=False)
        stream.write("\n")
        stream.flush()
        os.fsync(stream.fileno())
    Path(temporary).chmod(0o644)
    Path(temporary).replace(folder / NAME)


def is_dataset(path: Path | S3Folder) -> bool:
    """Return whether a path is a folder with a manifest."""
    return (path / NAME).is_file()


def read_manifest(folder: Path | S3Folder) -> Manifest:
    """Return the manifest of a dataset.

    Raises:
        InputError: The folder is not a dataset, or one of a newer LastACK, or its manifest is damaged.
        AccessError: It cannot be read.
    """
    try:
        content = json.loads((folder / NAME).read_bytes())
    except FileNotFoundError:
        raise InputError(
            f"{folder}: not a dataset (it has no {NAME}); `lastack analyze CAPTURE -o {folder}` makes one"
        ) from None
    except NotADirectoryError:
        raise InputError(f"{folder}: not a dataset, which is a folder; is it a capture?") from None
    except PermissionError:
        raise AccessError(f"{folder / NAME}: may not be read; ask its owner") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as reason:
        raise InputError(f"{folder / NAME}: damaged ({reason}); analyze the captures again") from None
    return _checked(folder, content)


def _checked(folder: Path | S3Folder, content: Any) -> Manifest:
    where = folder / NAME
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InputError(f"{where}: not the manifest of a LastACK dataset")
    version = content.get("schema_version")
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise InputError(
            f"{where}: schema version {version} is newer than {SCHEMA_VERSION}, which this LastACK "
            f"({__version__}) reads; use LastACK {content.get('lastack_version')} or later"
        )
    try:
        segments = tuple(
            Segment(
                str(s["file"]), int(s["rows"]), int(s["size"]), (int(s["start_ns"][0]), int(s["start_ns"][1]))
            )
            for s in content["segments"]
        )
        runs = tuple(run_from_json(run) for run in content["runs"])
        state = content["state"]
    except (KeyError, TypeError, ValueError, IndexError) as reason:
        raise InputError(f"{where}: damaged ({reason!r}); analyze the captures again") from None
    if state not in STATES:
        raise InputError(f"{where}: damaged (state {state!r}); analyze the captures again")
    for segment in segments:
        if Path(segment.file).name != segment.file:  # a manifest must not make us read elsewhere
            raise InputError(f"{where}: damaged (segment {segment.file!r} is not in the folder)")
    return Manifest(state, segments, runs, version, str(content.get("lastack_version")))
