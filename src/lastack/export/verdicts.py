"""Per-packet verdicts of a replay as CSV or JSON lines."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from typing import Any

from lastack.model.address import format_address
from lastack.model.batch import META_FROM_HI
from lastack.store.target import Target

COLUMNS = (
    "capture", "packet", "time_ns", "src", "sport", "dst", "dport", "flags", "seq", "ack", "payload", "action",
    "reason", "state",
)  # fmt: skip
_LETTERS = "FSRPAUEC"


class VerdictWriter:
    """Writes packets with what the box did to them.

    Args:
        output: File, `-` for standard output.
        form: `csv` or `jsonl`.
        captures: Names of the captures by number.
        words: Names of actions and reasons, and a function from the answer's phase code to a word.
    """

    def __init__(
        self,
        output: str,
        form: str,
        captures: list[str],
        words: tuple[list[str], list[str], Callable[[int], str]],
    ) -> None:
        self._target = Target(output)
        self._form = form
        self._captures = captures
        self._words = words
        if form == "csv":
            self._target.stream.write((",".join(COLUMNS) + "\n").encode())

    def write(self, segments: Any, answers: Any) -> None:
        """Write SEGMENTs and their answers, in order; those that are no segments of a session are left out."""
        out = io.StringIO()
        rows = csv.writer(out, lineterminator="\n")
        for g, answer in zip(segments, answers.tolist(), strict=True):
            if answer < 0:
                continue
            values = self._values(g, answer)
            if self._form == "csv":
                rows.writerow(values)
            else:
                out.write(json.dumps(dict(zip(COLUMNS, values, strict=True)), ensure_ascii=False) + "\n")
        self._target.stream.write(out.getvalue().encode())

    def _values(self, g: Any, answer: int) -> list[Any]:
        actions, reasons, phase = self._words
        ends = [
            (
                format_address(int(g[f"{side}0"]).to_bytes(8, "big") + int(g[f"{side}1"]).to_bytes(8, "big")),
                int(g["ports"]) >> shift & 0xFFFF,
            )
            for side, shift in (("lo", 16), ("hi", 0))
        ]
        if int(g["meta"]) & META_FROM_HI:
            ends.reverse()
        origin = int(g["origin"])
        flags = "".join(letter for bit, letter in enumerate(_LETTERS) if int(g["tcp_flags"]) >> bit & 1)
        return [
            self._captures[origin >> 48], origin & 0xFFFFFFFFFFFF, int(g["ts_ns"]), *ends[0], *ends[1], flags or "-",
            int(g["seq"]), int(g["ack"]), int(g["payload"]), actions[answer & 15], reasons[answer >> 4 & 15],
            phase(answer >> 8),
        ]  # fmt: skip

    def close(self) -> None:
        """Give the file its name."""
        self._target.commit()

    def discard(self) -> None:
        """Leave nothing behind."""
        self._target.discard()
