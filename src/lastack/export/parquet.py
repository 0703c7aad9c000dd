"""Parquet: the session record with its types, as a dataset's segment is."""

from __future__ import annotations

import contextlib
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lastack.export.base import FileExporter
from lastack.model.arrow import session_schema

ROW_GROUP = 125_000


class ParquetExporter(FileExporter):
    """Writes one Parquet file, zstd, row groups of 125,000 rows, as in a dataset."""

    def __init__(self, target: str, columns: tuple[str, ...]) -> None:
        super().__init__(target, columns)
        whole = session_schema()
        self._schema = pa.schema([whole.field(name) for name in columns], metadata=whole.metadata)
        self._writer = pq.ParquetWriter(self.target.stream, self._schema, compression="zstd")
        self._waiting: list[Any] = []
        self._rows = 0

    def write(self, batch: Any) -> None:
        """Append the rows, a row group at a time."""
        if batch.num_rows == 0:
            return
        self._waiting.append(batch.select(list(self.columns)))
        self._rows += batch.num_rows
        if self._rows >= ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            table = pa.Table.from_batches(self._waiting).cast(self._schema)
            self._writer.write_table(table, row_group_size=ROW_GROUP)
        self._waiting, self._rows = [], 0

    def finish(self) -> None:
        """Write the rest and the footer."""
        self._flush()
        self._writer.close()

    def discard(self) -> None:
        """Stop without an output: a file never appears."""
        with contextlib.suppress(OSError, ValueError, pa.ArrowException):  # it must not outlive its stream
            self._writer.close()
        super().discard()
