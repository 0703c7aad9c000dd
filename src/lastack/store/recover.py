"""What was open when a run was killed: its last snapshot becomes rows, as if the run had been stopped then.

A session of the snapshot may have ended, and been written, before the run was killed; that row stays and the
snapshot's is left out.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lastack.model.arrow import session_schema
from lastack.store.conform import conform
from lastack.store.manifest import NAME, Run, Segment

#: Key of the file's metadata: sessions that were open, those beyond the snapshot's limit included.
OPEN_KEY = b"lastack.open"
#: Segments written so long before the snapshot cannot hold its sessions.
_MARGIN_S = 600.0


@dataclass(frozen=True, slots=True)
class Recovered:
    """What could be kept of a run that was killed.

    Attributes:
        batch: Its open sessions, None if there are none.
        run: What is to be added to its ledger, with a sentence for people.
    """

    batch: Any
    run: Run


def recover(folder: Path, segments: Sequence[Segment], snapshot: str) -> Recovered:
    """Return what the last snapshot of a run that was killed still tells.

    Args:
        folder: The dataset's.
        segments: Its segments.
        snapshot: Name of the snapshot's file.
    """
    cut = f"the run was cut off after {_when(folder / NAME)}: what ended after that is missing"
    path = folder / snapshot
    if not path.is_file():
        return Recovered(None, Run(problems=(f"{cut}, and so are its open sessions",)))
    try:
        table = pq.read_table(path)
        known = table.schema.names == session_schema().names
    except (OSError, pa.ArrowException) as reason:
        return Recovered(None, Run(problems=(f"{cut}; its open sessions cannot be read: {reason}",)))
    if not known:
        return Recovered(None, Run(problems=(f"{cut}; another version wrote its open sessions",)))
    total = int((table.schema.metadata or {}).get(OPEN_KEY, table.num_rows))
    written = _written(folder, segments, path.stat().st_mtime)
    ended = pc.is_in(table["session_id"], value_set=written)
    beyond = total - table.num_rows
    table = table.filter(pc.invert(ended)).combine_chunks()
    says = f"{cut}; open sessions kept as they stood at {_when(path)}: {table.num_rows:,}"
    if beyond > 0:
        says += f", lost: {beyond:,}"
    if not table.num_rows:
        return Recovered(None, Run(problems=(says,)))
    batch = conform(table.to_batches()[0])
    return Recovered(batch, _run(batch, says))


def _run(batch: Any, says: str) -> Run:
    packets = pc.add(batch.column("packets_clt"), batch.column("packets_srv"))
    lone = pc.equal(batch.column("opening").cast(pa.string()), "stray")
    stray = pc.sum(pc.filter(packets, lone)).as_py() or 0
    whole = pc.sum(packets).as_py() or 0
    return Run(sessions=batch.num_rows, packets=whole, segments=whole - stray, stray=stray, problems=(says,))


def _written(folder: Path, segments: Sequence[Segment], snapshot_s: float) -> Any:
    """Return the ids of rows that were written since about the time of a snapshot."""
    found = [pa.array([], pa.uint64())]
    for segment in segments:
        path = folder / segment.file
        if path.is_file() and path.stat().st_mtime >= snapshot_s - _MARGIN_S:
            found += pq.read_table(path, columns=["session_id"])["session_id"].chunks
    return pa.concat_arrays([ids.cast(pa.uint64()) for ids in found])


def _when(path: Path) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(path.stat().st_mtime))
