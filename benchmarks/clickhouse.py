"""Times a push into ClickHouse's engine (chDB), and questions to it beside DuckDB's: `python -m benchmarks.clickhouse`.

The engine runs in a process of its own behind the test double's HTTP interface, on the same machine and with one query
at a time, so that it says what the protocol and the engine cost, not what a server with its own disks does.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.doubles.clickhouse import Double, why_not

from benchmarks.dataset import write_dataset
from lastack.app.grouped import Source, open_source
from lastack.app.push import push_dataset
from lastack.query.metrics import METRICS
from lastack.query.parse import parse_filter
from lastack.query.question_text import parse_question
from lastack.query.questions import Histogram, log_edges
from lastack.store.clickhouse_schema import MINUTES, SESSIONS
from lastack.store.clickhouse_server import Server
from lastack.store.dataset import Order
from lastack.store.place import place_of

ROWS = 1_000_000
_TRIES = 3


def _questions() -> dict[str, Callable[[Source], Any]]:
    def grouped(*texts: str, **more: Any) -> Callable[[Source], Any]:
        question = parse_question(*texts, **more)
        return lambda source: [(row.keys, row.values) for row in source.grouped(question).rows]

    cut = parse_filter("rst.count > 0 and fin.count = 0")
    return {
        "sessions that were cut, counted": grouped("sessions", "", "rst.count > 0 and fin.count = 0"),
        "top 10 servers by RSTs": grouped("rst.srv", "server", top=10),
        "top 10 services by RST per connection": grouped("rst/connection,connections", "service", top=10),
        "sessions by ending, every 10 min": grouped("sessions", "ending", every_ns=600 * 10**9),
        "p50 and p99 of handshakes by application": grouped("p50(ct),p99(ct)", "app"),
        "distinct clients of the top 10 servers": grouped("distinct(client.ip)", "server", top=10),
        "histogram of half-closed times": lambda source: source.histogram(
            Histogram(METRICS["half_closed"], log_edges(), None)
        ),
        "newest 50 cut sessions, every field": lambda source: [
            row
            for batch in source.scan(cut, None, Order("start", descending=True), 50)
            for row in batch.to_pylist()
        ],
    }


def measure(rows: int, folder: Path) -> dict[str, Any]:
    """Return figures for so many sessions.

    Args:
        rows: Sessions.
        folder: An empty folder for all of it.
    """
    dataset = folder / "dataset"
    write_dataset(dataset, rows)
    double = Double(folder / "engine")
    double.start()
    try:
        url = double.url("bench")
        began, own = time.perf_counter(), _cpu()
        engine = double.cpu_s()
        report = push_dataset(str(dataset), url)
        wall = time.perf_counter() - began
        result: dict[str, Any] = {
            "rows": rows,
            "push": {
                "rows_per_s": round(report.inserted / wall),
                "wall_s": round(wall, 2),
                "client_cpu_s": round(_cpu() - own, 2),
                "engine_cpu_s": round(double.cpu_s() - engine, 2),
            },
        }
        began = time.perf_counter()
        push_dataset(str(dataset), url)
        result["push_again_s"] = round(time.perf_counter() - began, 2)
        result["bytes_per_row"] = {
            "parquet": round(sum(f.stat().st_size for f in dataset.glob("*.parquet")) / rows, 1),
            **_sizes(url, rows),
        }
        with open_source([str(dataset)]) as ours, open_source([url]) as theirs:
            result["questions"] = [_compared(name, ask, ours, theirs) for name, ask in _questions().items()]
        return result
    finally:
        double.kill()


def _compared(name: str, ask: Callable[[Source], Any], ours: Source, theirs: Source) -> dict[str, Any]:
    times, answers = {}, []
    for engine, source in (("duckdb", ours), ("clickhouse", theirs)):
        best = float("inf")
        for _ in range(_TRIES):
            began = time.perf_counter()
            answer = ask(source)
            best = min(best, time.perf_counter() - began)
        times[f"{engine}_ms"] = round(best * 1000)
        answers.append(answer)
    return {"question": name, **times, "same": answers[0] == answers[1]}


def _sizes(url: str, rows: int) -> dict[str, float]:
    with Server(place_of(url)) as server:
        found = server.shared.rows(
            (
                "SELECT table, sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase() "
                "GROUP BY table",
                [],
            )
        )
    sizes = dict(found)
    return {name: round(sizes.get(name, 0) / rows, 1) for name in (SESSIONS, MINUTES)}


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> int:
    """Measure, and print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.clickhouse", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help="sessions")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    if reason := why_not():
        print(reason, file=sys.stderr)
        return 2
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    folder = Path(tempfile.mkdtemp(prefix="lastack-clickhouse-"))
    try:
        result = measure(options.rows, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if options.json:
        print(json.dumps(result, indent=1))
        return 0
    push = result["push"]
    print(
        f"{result['rows']:,} sessions pushed at {push['rows_per_s']:,}/s: {push['wall_s']} s, CPU "
        f"{push['client_cpu_s']} s here and {push['engine_cpu_s']} s in the engine; again {result['push_again_s']} s"
    )
    print("bytes for each session:", ", ".join(f"{n} {v}" for n, v in result["bytes_per_row"].items()))
    for one in result["questions"]:
        mark = "" if one["same"] else "   DIFFERENT"
        print(
            f"  {one['question']:<45} DuckDB {one['duckdb_ms']:>6} ms   ClickHouse {one['clickhouse_ms']:>6} ms{mark}"
        )
    return 0 if all(one["same"] for one in result["questions"]) else 1


if __name__ == "__main__":
    sys.exit(main())
