"""The explicit lists of built-ins; nothing registers itself by being imported.

Entries name a module and an attribute and import nothing until they are asked for, so that help is quick.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True, slots=True)
class Entry:
    """One built-in.

    Attributes:
        module: Where it is.
        attribute: Its name there.
        help: One sentence for people.
    """

    module: str
    attribute: str
    help: str

    def load(self) -> Any:
        """Import the module and return the thing."""
        return getattr(import_module(self.module), self.attribute)


#: Formats of session rows: `Exporter(target, columns)`, by the name that `--format` takes.
EXPORTERS: Mapping[str, Entry] = {
    "table": Entry(
        "lastack.view.table", "SessionTable", "for reading: fits the terminal, durations in words"
    ),
    "csv": Entry("lastack.export.csv", "CsvExporter", "field names as header, times in ns, null empty"),
    "jsonl": Entry("lastack.export.jsonl", "JsonLinesExporter", "one JSON object a line, null as null"),
    "parquet": Entry("lastack.export.parquet", "ParquetExporter", "typed columns, zstd; needs -o"),
    "zeek": Entry("lastack.export.zeek", "ZeekExporter", "a conn.log that zeek-cut reads"),
}
