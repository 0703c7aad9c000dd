"""Mistakes in a document a person wrote: where each is, what is wrong, what to do; all of them, not the first only."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum

from lastack.model.errors import InputError

_HEADER = re.compile(r"\s*(\[\[?)\s*([^\[\]]+?)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"\s*([A-Za-z0-9_.\"'-]+)\s*=")


class Severity(StrEnum):
    """How much a problem matters: an error keeps the document from being used."""

    error = "error"
    warning = "warning"
    note = "note"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to say about a document.

    Attributes:
        severity: How much it matters.
        path: Key path, such as `timers.half_closed.seconds` or `override[2].ports`; empty for the whole document.
        message: What is wrong.
        remedy: What to do about it, empty when the message says it.
    """

    severity: Severity
    path: str
    message: str
    remedy: str = ""

    def text(self, file: str = "", source: str = "") -> str:
        """Return `file:line: path: message; remedy`, as much of it as is known."""
        line = line_of(source, self.path) if source and self.path else 0
        place = f"{file}:{line}: " if file and line else f"{file}: " if file else ""
        where = f"{self.path}: " if self.path else ""
        return f"{place}{where}{self.message}{'; ' + self.remedy if self.remedy else ''}"


def near(word: str, names: Iterable[str]) -> str:
    """Return `did you mean X?` for the nearest name, else the list of all names."""
    known = sorted(set(names))
    close = get_close_matches(word, known, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]}?"
    return f"known are {', '.join(known)}" if known else "nothing can be named here"


def refuse(problems: Iterable[Problem], file: str, source: str = "") -> None:
    """Raise when there is an error among problems.

    Raises:
        InputError: All errors, one a line.
    """
    errors = [problem.text(file, source) for problem in problems if problem.severity is Severity.error]
    if errors:
        raise InputError("\n".join(errors))


def line_of(source: str, path: str) -> int:
    """Return the line (from 1) of a TOML text on which a key path is written, 0 if it cannot be told.

    Made for documents as people write them: a key inside an inline table has the line of that table.
    """
    wanted = _steps(path)
    best_length, best_line = 0, 0
    table: list[str] = []
    counts: dict[tuple[str, ...], int] = {}
    for number, text in enumerate(source.splitlines(), 1):
        header = _HEADER.match(text)
        if header:
            table = _split(header[2])
            if header[1] == "[[":
                index = counts.get(tuple(table), 0)
                counts[tuple(table)] = index + 1
                table = [*table[:-1], f"{table[-1]}[{index + 1}]"]
            found = table
        else:
            key = _KEY.match(text)
            if not key:
                continue
            found = [*table, *_split(key[1])]
        if len(found) > best_length and wanted[: len(found)] == found:
            best_length, best_line = len(found), number
    return best_line


def _split(dotted: str) -> list[str]:
    return [part.strip().strip("\"'") for part in dotted.split(".")]


def _steps(path: str) -> list[str]:
    return path.split(".")
