"""One session: its record and verdict, the ladder of its packets, and the packets themselves."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lastack.app.cut import cut_packets
from lastack.app.options import ProgressState, TrackOptions
from lastack.app.show import Shown, Wish, show_session
from lastack.diagnosis.rules import BY_CAUSE
from lastack.model.enums import Cause
from lastack.model.fields import FIELDS
from lastack.query.parse import parse_filter
from lastack.view.cells import value, words
from lastack.view.ladder_json import ladder_json
from lastack.view.verdict import verdict_json
from lastack.web.endpoint import Ask, Download, Endpoint, MissingError
from lastack.web.params import BadParameterError, Param
from lastack.web.problems import without_folders
from lastack.web.rows import plain_rows

_ID = Param(
    "id", "text", "Id of the session, as the field `session_id` has it.", example="5577006791947779410",
    pattern="^[0-9]{1,20}$",
)  # fmt: skip
_AT = Param("at", "time", "Its `start_ns`, which makes the search quick in a large dataset.")
_RUNGS = Param(
    "most", "whole", "Packets to show one by one; stretches between them are folded.", 60, low=1, high=5000
)
_PIECE = 1 << 18


def session(ask: Ask) -> dict[str, Any]:
    """Return the record and the verdict of a session."""
    shown = _shown(ask, packets=False)
    record = plain_rows(shown.batch)[0]
    rule = BY_CAUSE.get(shown.verdict.cause)
    return {
        "session": record,
        "told": {field.name: value(field.name, shown.row[field.name]) for field in FIELDS},
        "verdict": _verdict(shown),
        "shape": rule.shape if rule is not None else "",
        "limits": rule.limits if rule is not None else "",
        "notes": [without_folders(note) for note in shown.notes],
    }


def packets_ladder(ask: Ask) -> dict[str, Any]:
    """Return the packets of a session with the state of both ends after each; no steps where they cannot be read."""
    shown = _shown(ask, packets=ask.settings.packets, most=ask.values["most"])
    if shown.steps is None or shown.found is None:
        notes = [without_folders(note) for note in shown.notes] or ["this server does not read packets"]
        return {"verdict": _verdict(shown), "captures": [], "steps": None, "notes": notes}
    names = [Path(name).name for name in shown.found.captures]
    steps = ladder_json(shown.steps, names)
    for step in steps:
        if "time_ns" in step:
            step["time_ns"] = str(step["time_ns"])
    return {"verdict": _verdict(shown), "captures": names, "steps": steps, "notes": shown.notes}


def download(ask: Ask) -> Download:
    """Return the packets of a session as a pcapng file."""
    shown = _shown(ask, packets=True, most=1)
    if shown.found is None:
        raise MissingError("; ".join(shown.notes) or "the packets cannot be read again")
    folder = Path(tempfile.mkdtemp(prefix="lastack-web-"))
    number = shown.row["session_id"]
    try:
        path = folder / "session.pcapng"
        cut_packets(shown.found, str(path), f"session {number}")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Download(
        f"session-{number}.pcapng",
        "application/x-pcapng",
        _pieces(path),
        lambda: shutil.rmtree(folder, ignore_errors=True),
    )


def _verdict(shown: Shown) -> dict[str, Any]:
    found = verdict_json(shown.verdict)
    start = shown.row["start_ns"]
    for proof in found["proof"]:
        proof["since_ns"] = None if proof["time_ns"] is None else proof["time_ns"] - start
        del proof["time_ns"]
    for other in found["alternatives"]:
        rule = BY_CAUSE.get(Cause[other["cause"]])
        other["title"] = rule.title if rule is not None else words(other["cause"])
    return found


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            yield piece


def _shown(ask: Ask, *, packets: bool, most: int = 60) -> Shown:
    text = ask.values["id"]
    if not (text.isascii() and text.isdigit() and len(text) <= 20 and int(text) < 2**64):
        raise BadParameterError("id", f"{text[:40]!r} is no id of a session, which is a whole number")
    if packets and not ask.settings.packets:
        raise MissingError("this server does not read packets (it was started with --no-packets)")
    at = ask.values["at"]
    where = parse_filter(f"session_id = {int(text)}" + (f" and start_ns = {at}" if at is not None else ""))
    wish = Wish(where, most=most, packets=packets, captures=ask.settings.captures)

    def progress(state: ProgressState) -> None:
        ask.job.check()

    inputs = list(ask.snapshot.inputs)
    shown = show_session(inputs, wish, TrackOptions(threads=ask.snapshot.threads), progress)
    if shown is None:
        raise MissingError(
            f"no session {int(text)}" + (" began at that time" if at is not None else " is here")
        )
    return shown


ENDPOINTS = (
    Endpoint(
        "/sessions/{id}", "The record and the verdict of a session", session, (_AT,), (_ID,), missing=True
    ),
    Endpoint(
        "/sessions/{id}/ladder",
        "Its packets, with the state of both ends after each",
        packets_ladder,
        (_AT, _RUNGS),
        (_ID,),
        missing=True,
    ),
    Endpoint(
        "/sessions/{id}/packets",
        "Its packets as a pcapng file",
        download,
        (_AT,),
        (_ID,),
        media=("application/x-pcapng",),
        cached=False,
        missing=True,
    ),
)
