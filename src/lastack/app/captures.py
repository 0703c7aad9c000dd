"""Where the captures are that sessions were made from: as they were named then, or where they are now."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lastack.app.sessions import open_inputs
from lastack.model.errors import InputError

_STDIN = "stdin"


def gone(sensor: str) -> str:
    """Return why a capture cannot be read again, and what to do."""
    if sensor == _STDIN:
        return (
            "the session came from standard input, which cannot be read again; keep it in a file, and name that "
            "with --captures"
        )
    return f"{sensor} is not there (any more); say where it is with --captures FILE or FOLDER"


def capture_groups(inputs: Sequence[str]) -> list[list[str]]:
    """Return the lists of captures that sessions of some inputs were made from, one for each run.

    Args:
        inputs: Captures and datasets.
    """
    captures, stored = open_inputs(inputs, [])
    groups = [[_STDIN if name == "-" else name for name in captures]]
    return groups + [list(run.captures) for part in stored.parts for run in part.runs if run.captures]


def capture_clocks(inputs: Sequence[str], paths: Sequence[str]) -> dict[str, int]:
    """Return what was taken off the times of captures, in ns, when sessions were made from them.

    Args:
        inputs: Datasets that have the sessions, and captures.
        paths: Where the captures are now.
    """
    _, stored = open_inputs(inputs, [])
    offsets = {
        Path(name).name: ns
        for part in stored.parts
        for run in part.runs
        for name, ns in run.clock_offsets.items()
    }
    return {path: offsets[Path(path).name] for path in paths if Path(path).name in offsets}


def resolved(names: Sequence[str], elsewhere: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the paths of captures, and the names of those that cannot be found.

    Args:
        names: The captures as a run named them.
        elsewhere: Files and folders to look in first; a file counts by its name, or if it is the only one.

    Raises:
        InputError: One of these places does not exist.
    """
    given: dict[str, Path] = {}
    for place in map(Path, elsewhere):
        if not place.exists():
            raise InputError(f"--captures {place}: there is no such file or folder")
        files = sorted(place.iterdir()) if place.is_dir() else [place]
        given.update({file.name: file for file in files if file.is_file()})
    if len(names) == len(given) == 1:  # it may have another name now: what is in it decides
        return [str(path) for path in given.values()], []
    paths, missing = [], []
    for name in names:
        path = given.get(Path(name).name, Path(name))
        if path.is_file():
            paths.append(str(path))
        else:
            missing.append(name)
    return paths, missing
