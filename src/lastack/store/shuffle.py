"""Segments of a piece of a capture, one Arrow file for each shard, to be mapped into memory and tracked as they lie.

A file has one column of fixed-size binary: the 80 bytes of `lastack.model.batch.SEGMENT`, as the kernels read them. It
is written as it is decoded and read without a copy. Packet numbers count from the start of the capture, and the
sensor is 0: which number a capture gets depends on the others of the run, and its file shall not.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa

from lastack.model.batch import SEGMENT
from lastack.model.errors import InputError
from lastack.store.s3 import S3Folder, open_input

_LAYOUT = str(SEGMENT.descr)
_SCHEMA = pa.schema(
    [pa.field("segment", pa.binary(SEGMENT.itemsize), nullable=False)],
    metadata={"lastack.segment": _LAYOUT},
)


def segment_file(shard: int) -> str:
    """Return the name of a shard's file in the folder of a piece."""
    return f"shard-{shard}.arrow"


class SegmentWriter:
    """Writes the files of one capture.

    Args:
        folder: Where; it exists.
        shards: How many.
        compression: `lz4` or `zstd` for a slow shared disk, None to be mapped as it is.
    """

    def __init__(self, folder: Path, shards: int, compression: str | None = None) -> None:
        options = pa.ipc.IpcWriteOptions(compression=compression)
        self._writers: list[Any] = []
        self.counts = [0] * shards
        for shard in range(shards):
            self._writers.append(pa.ipc.new_file(str(folder / segment_file(shard)), _SCHEMA, options=options))

    def write(self, shard: int, segments: Any) -> None:
        """Append an array of SEGMENT, in the order of the capture."""
        if not len(segments):
            return
        data = pa.py_buffer(segments.view(np.uint8))
        column = pa.Array.from_buffers(_SCHEMA.field(0).type, len(segments), [None, data])
        self._writers[shard].write_batch(pa.RecordBatch.from_arrays([column], schema=_SCHEMA))
        self.counts[shard] += len(segments)

    def close(self) -> None:
        """Finish the files."""
        for writer in self._writers:
            writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_segments(folder: Path | S3Folder, shard: int) -> Iterator[Any]:
    """Yield arrays of SEGMENT in the order of the capture; not to be written to, valid while they are held.

    Raises:
        InputError: The file is damaged, or of another version.
    """
    path = folder / segment_file(shard)
    try:
        reader = pa.ipc.open_file(open_input(path))
        if not reader.schema.equals(_SCHEMA, check_metadata=True):
            raise InputError(f"{path}: written by another version; remove the folder and run again")
        for number in range(reader.num_record_batches):
            column = reader.get_batch(number).column(0)
            data = np.frombuffer(column.buffers()[1], np.uint8)
            first = column.offset * SEGMENT.itemsize
            yield data[first : first + len(column) * SEGMENT.itemsize].view(SEGMENT)
    except pa.ArrowInvalid as reason:
        raise InputError(f"{path}: damaged ({reason}); remove the folder and run again") from None
