"""The packets of many sessions at once, found again in one pass over their captures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lastack.app import prepare
from lastack.app.captures import capture_clocks, capture_groups, resolved
from lastack.app.cut import cut_origins
from lastack.app.options import Progress, TrackOptions, default_threads
from lastack.app.slice import Key, Keys, Reader, key_words, session_of
from lastack.capture.series import order_captures
from lastack.model.errors import InputError
from lastack.tracking.placing import PACKET_BITS, place

#: Columns of the record that are needed to find the packets of its session.
NEEDED = (
    "session_id", "sensor", "client_ip", "client_port", "server_ip", "server_port", "start_ns", "first_packet",
    "packets_clt", "packets_srv",
)  # fmt: skip
#: Sessions whose packets are cut out at a time, at most.
MOST_SESSIONS = 1_000_000


def cut_sessions(
    rows: Sequence[dict[str, Any]],
    inputs: Sequence[str],
    path: str,
    options: TrackOptions,
    elsewhere: Sequence[str] = (),
    progress: Progress | None = None,
) -> tuple[int, list[str]]:
    """Write the packets of sessions to a pcapng file; return how many, and what a person must know.

    Args:
        rows: Records of the sessions, NEEDED of each.
        inputs: Captures and datasets that they are from.
        path: The file; it appears under its name when it is complete.
        options: How the captures were tracked.
        elsewhere: Files or folders to look for captures in that are no longer where they were.
        progress: Called now and then.

    Raises:
        InputError: There are sessions of several runs, or no capture of them can be read.
        AccessError: There is no permission to write there.
    """
    sensors = {row["sensor"] for row in rows}
    groups = [names for names in capture_groups(inputs) if sensors & set(names)]
    if len(groups) > 1:
        raise InputError("the sessions are from several runs: cut out those of one input at a time")
    paths, missing = resolved(groups[0], elsewhere) if groups else ([], sorted(sensors))
    if not paths:
        raise InputError(f"{', '.join(missing)}: not there (any more); say where with --captures")
    captures, origins, notes = _find(rows, paths, options, progress, capture_clocks(inputs, paths))
    if missing:
        notes.append(f"not read, as they are not there: {', '.join(missing)}")
    target = Path(path).resolve()
    if any(target == Path(name).resolve() for name in captures):
        raise InputError(f"{path}: is a capture that is read; name another file")
    return cut_origins(captures, origins, path, f"{len(rows)} sessions"), notes


def _find(
    rows: Sequence[dict[str, Any]],
    paths: Sequence[str],
    options: TrackOptions,
    progress: Progress | None,
    clock_ns: Mapping[str, int],
) -> tuple[list[str], list[int], list[str]]:
    by_key: dict[Key, list[dict[str, Any]]] = {}
    for row in rows:
        key = Key.of(row["client_ip"], row["client_port"], row["server_ip"], row["server_port"])
        by_key.setdefault(key, []).append(row)
    prepare.ensure()
    files = order_captures(paths, clock_ns=clock_ns).files
    reader = Reader(files, Keys(by_key.keys()), options.threads or default_threads(), progress)
    while reader.more():
        pass
    reader.close()
    segments = reader.segments
    kept = np.zeros(len(segments), np.bool_)
    lost = 0
    several, which = np.unique(key_words(segments), return_inverse=True)
    order = np.argsort(which, kind="stable")
    bounds = np.searchsorted(which[order], np.arange(len(several) + 1))
    places = {key.tobytes(): order[bounds[n] : bounds[n + 1]] for n, key in enumerate(several)}
    for key, wanted in by_key.items():
        mine = places.get(np.array([*key.words, key.ports], np.uint64).tobytes(), np.empty(0, np.int64))
        placed = place(segments[mine], options.idle_timeout_ns)
        for row in wanted:
            session = session_of(row, segments[mine], placed)
            if session is None:
                lost += 1
            else:
                kept[mine[placed.owner == session]] = True
    notes = list(reader.notes)
    if lost:
        notes.append(
            f"{lost:,} sessions are not in the captures (any more): changed, or read with other options"
        )
    return reader.captures, _in_time(segments[kept]), notes


def _in_time(segments: Any) -> list[int]:
    """Return origins in the order in which overlapping captures are merged: by the time that each has reached."""
    segments = segments[np.argsort(segments["origin"], kind="stable")]
    ranks = segments["origin"] >> np.uint64(PACKET_BITS)
    reached = np.empty(len(segments), np.int64)
    for rank in np.unique(ranks):
        reached[ranks == rank] = np.maximum.accumulate(segments["ts_ns"][ranks == rank])
    order = np.lexsort((segments["origin"], reached))
    origins: list[int] = segments["origin"][order].tolist()
    return origins
