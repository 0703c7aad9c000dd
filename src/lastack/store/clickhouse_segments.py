"""Segments on their way to ClickHouse: what they are known by, and the same blocks of rows every time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lastack.model.arrow import session_schema
from lastack.model.errors import InputError
from lastack.store.conform import conform
from lastack.store.s3 import S3Folder, open_input

#: Rows of one insert: enough for ClickHouse, which wants few large ones, and some 100 MB of memory here.
BLOCK_ROWS = 100_000
_READ_ROWS = 25_000


class SegmentError(InputError):
    """A segment cannot be read; no other try will change that."""


@dataclass(frozen=True, slots=True)
class Source:
    """A segment to bring.

    Attributes:
        name: Its file name, for people.
        open: Opens its Parquet file for reading.
    """

    name: str
    open: Callable[[], Any]


def file_source(path: Path | S3Folder) -> Source:
    """Return a segment that is a file, here or in an S3 store."""
    return Source(path.name, lambda: open_input(path))


def blocks(stream: Any, name: str) -> Iterator[Any]:
    """Yield the rows of a Parquet file as tables of `BLOCK_ROWS`, the same ones every time.

    Args:
        stream: The file, opened.
        name: Its name, for messages.

    Raises:
        SegmentError: It is no segment of this version.
    """
    columns = session_schema()
    try:
        with pq.ParquetFile(stream) as file:
            if set(file.schema_arrow.names) != set(columns.names):
                raise SegmentError(f"{name}: another version of LastACK made it; analyze the captures again")
            waiting: list[Any] = []
            held = 0
            for batch in file.iter_batches(_READ_ROWS, columns=columns.names):
                waiting.append(pa.Table.from_batches([conform(batch.select(columns.names))]).cast(columns))
                held += batch.num_rows
                while held >= BLOCK_ROWS:
                    table = pa.concat_tables(waiting)
                    yield table.slice(0, BLOCK_ROWS)
                    waiting = [table.slice(BLOCK_ROWS)]
                    held -= BLOCK_ROWS
            if held:
                yield pa.concat_tables(waiting)
    except (pa.ArrowInvalid, OSError) as error:
        raise SegmentError(f"{name}: cannot be read: {error}; restore it or analyze again") from None


def opened(source: Source) -> Any:
    """Return a segment for reading.

    Raises:
        FileNotFoundError: It is gone.
        SegmentError: It cannot be read.
    """
    try:
        return source.open()
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError) as error:
        raise SegmentError(f"{source.name}: cannot be read: {error}") from None


def identity(name: str, stream: Any) -> str:
    """Return what a segment is known by: its name for people, and a digest of its bytes."""
    digest = hashlib.blake2b(digest_size=16)
    while piece := stream.read(1 << 20):
        digest.update(piece)
    return f"{name.removesuffix('.parquet')}:{digest.hexdigest()}"
