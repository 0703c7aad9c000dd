"""JSON Lines: one object a session, every column a member, times as integer nanoseconds, null as null.

Integers are written in full; a reader that keeps numbers as doubles loses the low digits of `session_id`.
"""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lastack.export.base import FileExporter
from lastack.export.text import address_text, joined_bytes, list_text
from lastack.model.fields import BY_NAME, Field

_ROWS = 16_384  # rows that are joined at a time: the texts of a slice stay in the processor's cache


class JsonLinesExporter(FileExporter):
    """Writes one JSON object a line."""

    def write(self, batch: Any) -> None:
        """Append one line for each row."""
        for start in range(0, batch.num_rows, _ROWS):
            self.target.stream.write(joined_bytes(_lines(batch.slice(start, _ROWS), self.columns)))


def json_rows(batch: Any) -> list[str]:
    """Return each row of a batch as the text of a JSON object."""
    rows: list[str] = _lines(batch, tuple(batch.schema.names)).to_pylist()
    return rows


def _lines(batch: Any, columns: tuple[str, ...]) -> Any:
    parts: list[Any] = []
    for name in columns:
        key = ("{" if not parts else ",") + json.dumps(name) + ":"
        parts += _member(key, batch.column(name), BY_NAME[name])
    return pc.binary_join_element_wise(*parts, pa.scalar("}\n"), "")


def _member(key: str, array: Any, field: Field) -> list[Any]:
    """Return the pieces that make `"name":value` of each row."""
    if field.type in ("enum", "string"):
        return [_words(key, array)]
    if field.type == "address":
        texts = address_text(array)
        return [pa.scalar(key + '"'), texts, pa.scalar('"')]
    if field.type == "list":
        return [pa.scalar(key), list_text(array, field.members)]
    return [pa.scalar(key), array.cast(pa.string()).fill_null("null")]


def _words(key: str, array: Any) -> Any:
    """Return the pieces of a text column: each distinct text is quoted once."""
    coded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
    quoted = [key + json.dumps(text, ensure_ascii=False) for text in coded.dictionary.to_pylist()]
    words = pa.array([*quoted, key + "null"], pa.string())
    return words.take(coded.indices.cast(pa.int64()).fill_null(len(quoted)))
