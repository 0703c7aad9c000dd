"""Sessions as lines of a table: one line a session, widths found from the first rows, then streamed.

On a terminal the table fits its width: columns that matter least go first. In a pipe nothing is cut.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TextIO

from lastack.model.units import format_duration, format_size
from lastack.store.target import Target
from lastack.view.cells import UNKNOWN, endpoint, instant, value

_SAMPLE = 2_000  # rows that decide the widths
_UNLIMITED = 10_000
_HARMFUL = frozenset({"open_failed", "data_lost", "close_lost", "stalled"})
_BY = {"client": "clt", "server": "srv", "both": "both", "none": UNKNOWN}
_RED, _DIM, _BOLD, _PLAIN = "\x1b[31m", "\x1b[2m", "\x1b[1m", "\x1b[0m"


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the table.

    Attributes:
        title: Its head.
        fields: What it reads of the record.
        text: From the row to the cell.
        rank: Columns with the highest rank go first when the terminal is narrow.
        right: Align right.
    """

    title: str
    fields: tuple[str, ...]
    text: Callable[[dict[str, Any]], str]
    rank: int = 0
    right: bool = False


def outcome(row: dict[str, Any]) -> str:
    """Return the one word that tells how a session went: its opening if that failed, else its ending.

    `~` before it says that the session was met in the middle.
    """
    if row["ending"] == "never_opened":
        return str(row["opening"])
    middle = "~" if row["opening"] == "midstream" else ""
    return f"{middle}{row['ending']}"


def _bytes(name: str) -> Callable[[dict[str, Any]], str]:
    return lambda row: format_size(row[name]) if row[name] else UNKNOWN


DEFAULT: tuple[Column, ...] = (
    Column("start UTC", ("start_ns",), lambda r: instant(r["start_ns"], date=False, digits=3)),
    Column("client", ("client_ip", "client_port"), lambda r: endpoint(r["client_ip"], r["client_port"])),
    Column("server", ("server_ip", "server_port"), lambda r: endpoint(r["server_ip"], r["server_port"])),
    Column("outcome", ("opening", "ending"), outcome),
    Column("by", ("first_closer",), lambda r: _BY[r["first_closer"]], 1),
    Column(
        "lasted",
        ("start_ns", "end_ns"),
        lambda r: format_duration(max(0, r["end_ns"] - r["start_ns"])),
        3,
        True,
    ),
    Column(
        "half closed", ("half_closed_ns",), lambda r: value("half_closed_ns", r["half_closed_ns"]), 5, True
    ),
    Column("sent", ("bytes_clt",), _bytes("bytes_clt"), 4, True),
    Column("received", ("bytes_srv",), _bytes("bytes_srv"), 4, True),
    Column("cause", ("cause",), lambda r: str(r["cause"]), 1),
)


def _asked(name: str) -> Column:
    right = name.endswith(("_ns", "_clt", "_srv", "_port", "_bytes", "_id"))
    return Column(name, (name,), lambda row: value(name, row[name]), 0, right)


class SessionTable:
    """An exporter for people: `--columns` makes it show those fields, else the usual ones."""

    #: Fields that the usual table reads.
    default_columns: tuple[str, ...] = tuple(
        dict.fromkeys(["harm", *(name for column in DEFAULT for name in column.fields)])
    )

    def __init__(self, target: str, columns: tuple[str, ...]) -> None:
        self._target = Target(target)
        usual = set(columns) == set(self.default_columns)
        self._columns = list(DEFAULT) if usual else [_asked(name) for name in columns]
        self.columns = self.default_columns if usual else columns
        on_terminal = target == "-" and sys.stdout.isatty()
        self._limit = table_width(sys.stdout) if target == "-" else _UNLIMITED
        self._coloured = on_terminal and not os.environ.get("NO_COLOR")
        self._waiting: list[dict[str, Any]] = []
        self._widths: list[int] = []

    def write(self, batch: Any) -> None:
        """Print the rows, or keep them until enough are known to choose the widths."""
        rows = batch.select(list(self.columns)).to_pylist()
        if self._widths:
            self._print(rows)
            return
        self._waiting += rows
        if len(self._waiting) >= _SAMPLE:
            self._begin()

    def close(self) -> None:
        """Print what is left."""
        if not self._widths:
            self._begin()
        self._target.commit()

    def discard(self) -> None:
        """Stop; what is printed is printed."""
        self._target.discard()

    def _begin(self) -> None:
        cells = [[column.text(row) for row in self._waiting] for column in self._columns]
        pairs = zip(self._columns, cells, strict=True)
        widths = [max([len(column.title), *map(len, texts)]) for column, texts in pairs]
        self._columns, self._widths = _fitted(self._columns, widths, self._limit)
        if self._waiting:
            titles = [column.title for column in self._columns]
            self._line(titles, _BOLD)
            self._print(self._waiting)
        self._waiting = []

    def _print(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            style = ""
            if self._coloured and row.get("harm") in _HARMFUL:
                style = _RED
            elif self._coloured and row.get("opening") == "stray":
                style = _DIM
            self._line([column.text(row) for column in self._columns], style)

    def _line(self, cells: list[str], style: str) -> None:
        parts = []
        for column, cell, width in zip(self._columns, cells, self._widths, strict=True):
            if len(cell) > width and self._limit < _UNLIMITED:
                cell = cell[: width - 1] + "…"
            parts.append(cell.rjust(width) if column.right else cell.ljust(width))
        text = "  ".join(parts).rstrip()
        if style and self._coloured:
            text = f"{style}{text}{_PLAIN}"
        self._target.stream.write(f"{text}\n".encode())


def table_width(stream: TextIO) -> int:
    """Return the characters a table may use: COLUMNS, else the terminal's width, else no limit."""
    if not stream.isatty() and not os.environ.get("COLUMNS", "").isdigit():
        return _UNLIMITED
    return max(40, shutil.get_terminal_size((80, 24)).columns)


def _fitted(columns: list[Column], widths: list[int], limit: int) -> tuple[list[Column], list[int]]:
    """Return the columns that fit, the least important left out; the widest shrink only if none may go."""
    pairs = list(zip(columns, widths, strict=True))

    def total() -> int:
        return sum(width for _, width in pairs) + 2 * (len(pairs) - 1)

    while total() > limit:
        least = max(range(len(pairs)), key=lambda i: pairs[i][0].rank)
        if pairs[least][0].rank == 0:
            break
        del pairs[least]
    shrunk = [width for _, width in pairs]
    while sum(shrunk) + 2 * (len(shrunk) - 1) > limit and max(shrunk) > 8:
        shrunk[shrunk.index(max(shrunk))] -= 1
    return [column for column, _ in pairs], shrunk
