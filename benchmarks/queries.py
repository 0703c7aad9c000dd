"""Times questions to millions of sessions: as LastACK asks them, as SQL by hand for the same files, as commands."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.dataset import write_dataset
from benchmarks.measure import MeasurementError, Times, process, program

ROWS = 20_000_000
#: Bytes of the dataset for each session, rounded up.
BYTES_PER_ROW = 140
_NO_STRAYS = "opening <> 'stray'"
_PICKED = "rst_clt + rst_srv > 0 AND fin_clt + fin_srv = 0"


@dataclass(frozen=True)
class Question:
    """One question.

    Attributes:
        name: What it asks.
        command: Words after `lastack`, without the dataset.
        sql: What somebody would write by hand for the first lines of the answer; `{files}` is the table.
    """

    name: str
    command: tuple[str, ...]
    sql: str


QUESTIONS = (
    Question(
        "top 10 servers by RSTs of the server",
        ("table", "rst.srv", "--by", "server", "--top", "10"),
        f"SELECT server_ip, sum(rst_srv) FROM {{files}} WHERE {_NO_STRAYS} GROUP BY 1 ORDER BY 2 DESC LIMIT 10",
    ),
    Question(
        "top 10 clients by sessions",
        ("table", "sessions", "--by", "client", "--top", "10"),
        f"SELECT client_ip, count(*) FROM {{files}} WHERE {_NO_STRAYS} GROUP BY 1 ORDER BY 2 DESC LIMIT 10",
    ),
    Question(
        "top 10 services by RST per connection",
        (
            "table",
            "rst/connection,connections",
            "--by",
            "service",
            "--top",
            "10",
            "--having",
            "connections > 1000",
        ),
        "SELECT server_ip, server_port, sum(rst_clt::BIGINT + rst_srv::BIGINT) / "
        "count(*) FILTER (WHERE opening IN ('established', 'simultaneous')) AS rate, "
        "count(*) FILTER (WHERE opening IN ('established', 'simultaneous')) AS n "
        f"FROM {{files}} WHERE {_NO_STRAYS} GROUP BY 1, 2 HAVING n > 1000 ORDER BY rate DESC LIMIT 10",
    ),
    Question(
        "filter: cut sessions, counted",
        ("table", "sessions", "--where", "rst.count > 0 and fin.count = 0"),
        f"SELECT count(*) FROM {{files}} WHERE {_NO_STRAYS} AND {_PICKED}",
    ),
    Question(
        "filter: the first 100 cut sessions, every field",
        ("sessions", "-f", "rst.count > 0 and fin.count = 0", "--limit", "100", "--format", "csv"),
        f"SELECT * FROM {{files}} WHERE {_PICKED} LIMIT 100",
    ),
    Question(
        "histogram: sessions by ending, every 10 min",
        ("table", "sessions", "--by", "ending", "--every", "10m"),
        f"SELECT start_ns // 600000000000, ending, count(*) FROM {{files}} WHERE {_NO_STRAYS} GROUP BY 1, 2 ORDER BY 1",
    ),
    Question(
        "histogram: handshake times, 1-2-5 buckets",
        ("graph", "ct", "--histogram", "--format", "csv"),
        f"SELECT histogram(ct_ns, {[0, *(d * 10**p for p in range(18) for d in (1, 2, 5))]}) "
        f"FROM {{files}} WHERE {_NO_STRAYS}",
    ),
    Question(
        "99th percentile of handshakes by application",
        ("table", "p99(ct)", "--by", "app"),
        f"SELECT app, quantile_disc(ct_ns, 0.99) q FROM {{files}} WHERE {_NO_STRAYS} GROUP BY 1 ORDER BY 2 DESC",
    ),
)


def questions(folder: Path, shrink: int, threads: int, rounds: int, keep: bool) -> dict[str, Any]:
    """Return the times of each question, with the dataset they were asked of."""
    rows = ROWS // shrink
    path = folder / f"sessions-{rows}"
    took = 0.0
    if not (keep and (path / "manifest.json").exists()):
        began = time.perf_counter()
        write_dataset(path, rows)
        took = time.perf_counter() - began
    files = sorted(path.glob("*.parquet"))
    return {
        "rows": rows,
        "bytes": sum(file.stat().st_size for file in files),
        "made_s": took,
        "threads": threads,
        "questions": [_measured(question, path, files, threads, rounds) for question in QUESTIONS],
    }


def _measured(question: Question, path: Path, files: list[Path], threads: int, rounds: int) -> dict[str, Any]:
    """Time the engine and the hand-written SQL in turn, each with a connection of its own, then the command."""
    ours, by_hand = _engine(question, path, threads), _by_hand(question, files, threads)
    found: dict[str, list[tuple[float, float]]] = {"lastack": [], "duckdb": []}
    for _ in range(rounds + 1):  # the first round warms the page cache
        found["lastack"].append(_timed(ours))
        found["duckdb"].append(_timed(by_hand))
    lastack, duckdb = (
        [Times(tuple(pair[which] for pair in pairs[1:])) for which in (0, 1)] for pairs in found.values()
    )
    entry = {
        "what": question.name,
        "best": lastack[0].best, "median": lastack[0].median, "cpu": lastack[1].best,
        "sql_best": duckdb[0].best, "sql_cpu": duckdb[1].best,
        "ratio": lastack[0].best / duckdb[0].best, "cpu_ratio": lastack[1].best / max(duckdb[1].best, 1e-3),
    }  # fmt: skip
    try:
        command = [program(), question.command[0], *_with_dataset(question, path), "-q"]
        entry["command"] = Times(tuple(process(command) for _ in range(2))).best
    except MeasurementError as error:
        entry["skipped"] = str(error)
    return entry


def _with_dataset(question: Question, path: Path) -> list[str]:
    """Return the words after the verb with the dataset in its place: behind the metrics, if there are any."""
    words = list(question.command[1:])
    words.insert(0 if question.command[0] == "sessions" else 1, str(path))
    return words


def _timed(action: Callable[[], object]) -> tuple[float, float]:
    before, began = os.times(), time.perf_counter()
    action()
    seconds, after = time.perf_counter() - began, os.times()
    return seconds, after.user - before.user + after.system - before.system


def _engine(question: Question, path: Path, threads: int) -> Callable[[], object]:
    """Return what asks the question of our engine, from the same texts as the command."""
    from lastack.app.grouped import Source
    from lastack.app.series import distribution
    from lastack.app.sessions import Question as Rows
    from lastack.app.sessions import ask
    from lastack.model.units import parse_duration_ns
    from lastack.query.metrics import METRICS
    from lastack.query.parse import parse_filter
    from lastack.query.question_text import parse_question
    from lastack.store.dataset import Dataset
    from lastack.store.stored import Folders

    words = list(question.command)
    options = {
        name: words[place + 1]
        for place, name in enumerate(words)
        if name.startswith("-") and place + 1 < len(words)
    }
    source = Source(Folders([Dataset.open(path)]), threads=threads)
    if words[0] == "graph":
        return lambda: distribution(source, METRICS[words[1]])
    if words[0] == "sessions":
        limited = Rows(parse_filter(options["-f"]), None, None, int(options["--limit"]))
        return lambda: ask([str(path)], limited, lambda batch: None)
    grouped = parse_question(
        words[1], options.get("--by", ""), options.get("--where", ""), options.get("--having", ""),
        every_ns=parse_duration_ns(options["--every"]) if "--every" in options else None,
        top=int(options["--top"]) if "--top" in options else None,
    )  # fmt: skip
    return lambda: source.grouped(grouped)


def _by_hand(question: Question, files: list[Path], threads: int) -> Callable[[], object]:
    from lastack.store.dataset import connect

    text = question.sql.replace("{files}", f"read_parquet({[str(file) for file in files]})")

    def run() -> object:
        with connect(threads) as connection:
            return connection.execute(text).fetchall()

    return run
