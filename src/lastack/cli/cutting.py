"""`--packets` of commands that list sessions: their packets as a capture of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from lastack.app.slice_many import MOST_SESSIONS, NEEDED, cut_sessions
from lastack.cli.common import Reading, tell
from lastack.cli.progress import shown_progress


class Cut:
    """Passes rows on to an exporter and remembers whose packets are wanted.

    Args:
        exporter: What the rows are for.
        target: The capture to write.

    Attributes:
        columns: Columns that rows must have, those of the exporter included.
    """

    def __init__(self, exporter: Any, target: str) -> None:
        if target == "-":
            raise click.UsageError("--packets - would mix with the rows: name a file")
        self._exporter = exporter
        self._target = target
        self._rows: list[dict[str, Any]] = []
        self.columns: tuple[str, ...] = tuple(dict.fromkeys([*exporter.columns, *NEEDED]))

    def write(self, batch: Any) -> None:
        """Take rows."""
        self._exporter.write(batch.select(list(self._exporter.columns)))
        if len(self._rows) + batch.num_rows > MOST_SESSIONS:
            raise click.UsageError(
                f"--packets: more than {MOST_SESSIONS:,} sessions pass; narrow the filter, or give --limit"
            )
        self._rows += batch.select(list(NEEDED)).to_pylist()

    def finish(self, inputs: Sequence[str], elsewhere: Sequence[str], reading: Reading) -> None:
        """Read the packets of the sessions and write them."""
        if not self._rows:
            tell([f"{self._target}: not written, as no session passes"], reading)
            return
        with shown_progress(reading, inputs, config=False, packets=True) as progress:
            count, notes = cut_sessions(
                self._rows, inputs, self._target, reading.track_options, elsewhere, progress
            )
        tell(
            [*notes, f"{count:,} packets of {len(self._rows):,} sessions written to {self._target}"], reading
        )
