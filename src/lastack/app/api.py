"""The Python face of LastACK: captures in, columns out."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lastack.app.options import Progress, RunSummary, TrackOptions
from lastack.app.pipeline import track_captures
from lastack.model.arrow import session_schema
from lastack.query.zones import Classes


@dataclass(frozen=True, slots=True)
class Sessions:
    """The sessions of some captures.

    Attributes:
        table: pyarrow Table of the session record, sorted by start time, then first packet.
        summary: What was read: the ledger, flaws of the captures, evictions.
    """

    table: Any
    summary: RunSummary

    def __repr__(self) -> str:
        captures = ", ".join(self.summary.captures[:3]) + (", …" if len(self.summary.captures) > 3 else "")
        return f"<Sessions: {len(self)} of {captures or 'no capture'}; {self.summary.ledger.packets} packets>"

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def __getitem__(self, name: str) -> Any:
        """Return one column as a NumPy array: enums and strings as text, missing numbers masked.

        Raises:
            KeyError: There is no such column.
        """
        column = self.table.column(name)
        if pa.types.is_dictionary(column.type):
            column = pc.cast(column, column.type.value_type)
        if column.null_count and pa.types.is_integer(column.type):
            values = pc.fill_null(column, 0).to_numpy()
            return np.ma.MaskedArray(values, pc.is_null(column).to_numpy())
        return column.to_numpy()


def track(
    *captures: str | os.PathLike[str],
    threads: int | None = None,
    max_sessions: int | None = None,
    idle_timeout_ns: int | None = None,
    window_bytes: int | None = None,
    progress: Progress | None = None,
    config: str | os.PathLike[str] | None = None,
) -> Sessions:
    """Return every TCP session of some captures.

    Args:
        captures: Capture files (any pcap or pcapng, compressed or not); `-` is standard input.
        threads: Threads to use; None means as many as there are processors.
        max_sessions: Most sessions held at a time; None means what half of the memory holds.
        idle_timeout_ns: Sessions that are silent for longer end; None means never.
        window_bytes: Bytes taken at a time; results do not depend on it.
        progress: Called now and then with how far the run is.
        config: File with zones and applications; None leaves sessions unclassified.

    Raises:
        InputError: Nothing could be read from one of the captures, or the configuration has mistakes.
        AccessError: There is no permission to read one.
    """
    batches: list[Any] = []
    options = TrackOptions(
        threads=threads,
        max_sessions=max_sessions,
        idle_timeout_ns=idle_timeout_ns,
        window_bytes=window_bytes,
        classes=_classes(config),
    )
    summary = track_captures([os.fspath(c) for c in captures], options, batches.append, progress)
    table = pa.Table.from_batches(batches, session_schema()) if batches else session_schema().empty_table()
    table = table.unify_dictionaries()
    starts = table.column("start_ns").to_numpy()
    if (starts[1:] < starts[:-1]).any():  # the table was full and rows left before others had begun
        names = pa.array(summary.captures, pa.string())
        ranks = pc.index_in(pc.cast(table.column("sensor"), pa.string()), names).to_numpy()
        table = table.take(np.lexsort((table.column("first_packet").to_numpy(), ranks, starts)))
    return Sessions(table, summary)


def _classes(config: str | os.PathLike[str] | None) -> Classes | None:
    if config is None:
        return None
    from lastack.app.config import load_classes

    return load_classes(os.fspath(config))
