"""CSV: field names as header, times as integer nanoseconds, addresses as text, null as nothing.

Lists (`gaps`, `marks`, `evidence`) have no place in a flat table: they are left out, unless one is asked for by name,
when it is a JSON text. Only texts that need quotes have them (RFC 4180): cut and awk see plain columns.
"""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from lastack.export.base import FileExporter
from lastack.export.text import address_text, joined_bytes, list_text
from lastack.model.fields import BY_NAME

_ROWS = 16_384  # rows that are joined at a time: the texts of a slice stay in the processor's cache
_STRUCTURAL = re.compile(r'[,"\r\n]')


class CsvExporter(FileExporter):
    """Writes one line a session; lines end in a bare newline."""

    def __init__(self, target: str, columns: tuple[str, ...]) -> None:
        super().__init__(target, columns)
        self.target.stream.write((",".join(columns) + "\n").encode())

    def write(self, batch: Any) -> None:
        """Append one line for each row."""
        for start in range(0, batch.num_rows, _ROWS):
            piece = batch.slice(start, _ROWS)
            cells = [_cells(piece.column(name), name) for name in self.columns]
            rows = pc.binary_join_element_wise(*cells, ",", null_handling="replace", null_replacement="")
            self.target.stream.write(joined_bytes(pc.binary_join_element_wise(rows, pa.scalar("\n"), "")))


def _cells(array: Any, name: str) -> Any:
    """Return a column as texts, quoted where a reader would stumble."""
    match BY_NAME[name].type:
        case "address":
            return address_text(array)
        case "list":
            doubled = pc.replace_substring(list_text(array, BY_NAME[name].members), '"', '""')
            return pc.binary_join_element_wise(pa.scalar('"'), doubled, pa.scalar('"'), "")
        case "enum" | "string":
            coded = array if pa.types.is_dictionary(array.type) else array.dictionary_encode()
            words = [_quoted(word) for word in coded.dictionary.to_pylist()]
            return pa.array(words, pa.string()).take(coded.indices)
        case _:
            return array.cast(pa.string())


def _quoted(word: str) -> str:
    if _STRUCTURAL.search(word) is None:
        return word
    return '"' + word.replace('"', '""') + '"'
