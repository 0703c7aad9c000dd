"""Times a sweep of many settings over millions of sessions, beside what reading the packets once a setting would take.

    python -m benchmarks.whatif                      10 million sessions, 1,000 settings, 2 threads
    python -m benchmarks.whatif --sessions 1000000

Sessions are those of `samples/closes.pcapng` over and over, spread over a day, each with its own silences.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import lastack
from benchmarks import machine
from lastack.app.grouped import Source
from lastack.app.pasts import groups_of
from lastack.app.whatif import run_whatif, scenario, swept
from lastack.store.dataset import Dataset
from lastack.store.manifest import Run
from lastack.store.stored import Folders
from lastack.store.writer import DatasetWriter

SAMPLE = Path(__file__).resolve().parents[1] / "samples" / "closes.pcapng"
BLOCK = 250_000
DAY_NS = 86_400 * 10**9
TIMES = ("start_ns", "end_ns", "first_fin_ns", "second_fin_ns", "closed_ns", "first_rst_ns")


def main() -> int:
    """Print the figures; speed never makes it fail."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sessions", type=int, default=10_000_000)
    parser.add_argument("--settings", type=int, default=1_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--profiles", default="panos,fortigate", help="an absolute and an idle half-closed timer"
    )
    options = parser.parse_args()
    print("  ".join(f"{key}: {value}" for key, value in machine.facts().items()))
    with tempfile.TemporaryDirectory(prefix="lastack-whatif-") as folder:
        path = Path(folder) / "sessions"
        print(f"writing {options.sessions:,} sessions ...", file=sys.stderr)
        packets = write_sessions(path, options.sessions)
        dataset = Dataset.open(path)
        source = Source(Folders([dataset]), dataset.summary, threads=options.threads)
        for name in options.profiles.split(","):
            _sweep(source, name, options.settings)
    rate = _packet_rate()
    hours = packets * options.settings / rate / 3600
    print(
        f"reading {packets:,} packets once a setting at {rate / 1e6:.2f} Mpackets/s (the tracker alone): {hours:,.1f} h"
    )
    return 0


def _sweep(source: Source, profile: str, settings: int) -> None:
    values = sorted({int(v) for v in np.geomspace(1e9, 3600e9, settings)})
    one = swept(scenario(profile), "half_closed", values)
    wall, cpu = time.perf_counter(), time.process_time()
    whole = run_whatif(source, [one], None, groups_of(source, None))
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    out = whole.answers[0].outcome
    print(
        f"{profile}: {len(values):,} settings over {int(out.sessions.sum()):,} sessions in {wall:.2f} s "
        f"({cpu:.2f} s of CPU); {int(out.broken_most[:, 0].sum()):,} broken at 1 s, "
        f"{int(out.broken_most[:, -1].sum()):,} at 1 h"
    )


def write_sessions(path: Path, rows: int, seed: int = 7) -> int:
    """Write a dataset of so many sessions; return the packets that they stand for."""
    rng = np.random.default_rng(seed)
    samples = lastack.track(str(SAMPLE)).table.combine_chunks()
    first = int(samples.column("start_ns").to_numpy().min())
    packets = 0
    with DatasetWriter(path) as writer:
        for begin in range(0, rows, BLOCK):
            count = min(BLOCK, rows - begin)
            taken = samples.take(pa.array(rng.integers(0, samples.num_rows, count))).combine_chunks()
            moved = np.sort(rng.integers(begin, begin + count, count)) * (DAY_NS // rows)
            batch = _moved(taken, moved, begin)
            packets += int(sum(batch.column(f"packets_{end}").to_numpy().sum() for end in ("clt", "srv")))
            writer.write(batch)
        writer.finish(Run(("generated",), first, first + DAY_NS, rows))
    return packets


def _moved(table: Any, by_ns: Any, begin: int) -> Any:
    """Return sessions at other times, silences included, with ids of their own."""
    columns = {name: table.column(name).combine_chunks() for name in table.column_names}
    for name in TIMES:
        old = columns[name]
        later = old.fill_null(0).to_numpy() + by_ns
        columns[name] = pa.array(later, mask=old.is_null().to_numpy(zero_copy_only=False))
    columns["session_id"] = pa.array(np.arange(begin, begin + len(by_ns)).astype(np.uint64))
    columns["previous_id"] = pa.nulls(len(by_ns), pa.uint64())
    for name, member in (("gaps", "start_ns"), ("retries", "ns")):
        columns[name] = _entries_moved(columns[name], member, by_ns)
    return pa.RecordBatch.from_arrays(list(columns.values()), schema=table.schema)


def _entries_moved(lists: Any, member: str, by_ns: Any) -> Any:
    """Return a list column with one member of its entries moved by what each row is moved by."""
    counts = np.diff(lists.offsets.to_numpy())
    entries = lists.flatten()
    names = [field.name for field in entries.type]
    moved = pa.array(entries.field(member).to_numpy() + np.repeat(by_ns, counts))
    members = [moved if name == member else entries.field(name) for name in names]
    structs = pa.StructArray.from_arrays(members, fields=list(entries.type))
    offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int32))
    return pa.ListArray.from_arrays(offsets, structs, type=lists.type)


def _packet_rate() -> float:
    """Return how many packets a second the tracker takes on two threads, from a generated capture."""
    from benchmarks.generate import generate
    from benchmarks.shapes import SHAPES, smaller

    with tempfile.TemporaryDirectory(prefix="lastack-whatif-") as folder:
        path = Path(folder) / "s.pcap"
        generate(smaller(SHAPES["s"], 4), path)
        best = 0.0
        for _ in range(3):
            began = time.perf_counter()
            packets = lastack.track(str(path), threads=2).summary.ledger.packets
            best = max(best, packets / (time.perf_counter() - began))
    return best


if __name__ == "__main__":
    sys.exit(main())
