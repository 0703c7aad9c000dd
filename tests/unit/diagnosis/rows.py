"""Rows for tests of the rules: those of the project's captures and timelines, tracked once."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa
from tests.matrix.cases import CAPTURES, SCRIPTS
from tests.naive.script import read_script
from tests.naive.write import write

import lastack


@cache
def table_of(name: str) -> Any:
    """Return the rows of a capture (`x.pcap`) or timeline (`x.pkts`) of the tests."""
    if name.endswith(".pcap"):
        return lastack.track(CAPTURES / name, threads=1).table
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "packets.pcap", read_script(SCRIPTS / name).packets)
        return lastack.track(path, threads=1).table


def batch_of_table(table: Any) -> Any:
    """Return a table as one record batch."""
    return table.combine_chunks().to_batches()[0]


@cache
def everything() -> Any:
    """Return the rows of all captures as one record batch."""
    tables = [table_of(path.name) for path in sorted(CAPTURES.glob("*.pcap"))]
    return batch_of_table(pa.concat_tables(tables).unify_dictionaries())
