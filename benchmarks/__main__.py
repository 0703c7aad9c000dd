"""Makes the captures, measures, prints; see `python -m benchmarks --help`."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import machine, memory, queries, report, speed, startup
from benchmarks.generate import bytes_needed, generate
from benchmarks.measure import MeasurementError, Worker, out_of_page_cache, worker
from benchmarks.mix import write_mix
from benchmarks.shapes import SHAPES, smaller
from benchmarks.variants import to_gzip, to_pcapng

_QUICK, _QUICK_PEERS = 20, "sm"
_MIXES = {"m": 1_000_000, "n": 4_000_000}  # packets
_MIX_PACKET_BYTES = 600  # at most, on the average
# Of the rounds of a capture together, and of those beside a peer: other guests of the machine take it for seconds.
_LEAST_S, _LEAST_PEER_S = 20.0, 3.0
_KINDS = [*SHAPES, *_MIXES, "memory", "startup", "queries"]


def main() -> int:
    """Measure what the command line asks for; speed never makes it fail."""
    options = _options()
    options.folder.mkdir(parents=True, exist_ok=True)
    if shortage := _shortage(options):
        print(f"benchmarks: {shortage}", file=sys.stderr)
        return 2
    results: dict[str, Any] = {
        "command": _command(sys.argv[1:]), "machine": machine.facts(),
        "captures": {}, "containers": [], "memory": [], "limited": [], "start_up": [], "queries": {},
        "left_out": [], "mixes": {}, "quick": options.quick,
    }  # fmt: skip
    try:
        _measure(options, results)
    finally:
        if not options.keep:
            shutil.rmtree(options.folder, ignore_errors=True)
    print("  ".join(f"{key}: {value}" for key, value in results["machine"].items()) + "\n")
    for title, heads, rows in report.sections(results):
        print(report.as_text(title, heads, rows))
    for reason in report.left_out(results):
        print(f"not measured: {reason}")
    if options.output:
        _write(options.output, json.dumps(results, indent=1) + "\n")
    if options.markdown:
        _write(options.markdown, report.as_markdown(results))
    return 0


def _measure(options: argparse.Namespace, results: dict[str, Any]) -> None:
    def attempt(what: str, action: Callable[[], None]) -> None:
        try:
            print(f"{what} ...", file=sys.stderr)
            action()
        except (MeasurementError, OSError) as error:
            results["left_out"].append(f"{what}: {error}")

    with worker() as warm:
        for kind in options.only:
            if kind in SHAPES or kind in _MIXES:
                attempt(f"capture {kind}", lambda kind=kind: _capture(kind, options, warm, results))
    # each in processes of its own, when nothing else of ours holds memory
    if "memory" in options.only:
        threads = max(options.threads)

        def measure_memory() -> None:
            results["memory"] += memory.live_sessions(options.folder, options.shrink, threads, options.keep)
            results["limited"] += memory.under_a_limit(options.folder, options.shrink, options.keep)

        attempt("memory", measure_memory)
    if "queries" in options.only:

        def measure_queries() -> None:
            threads = max(options.threads)
            results["queries"] = queries.questions(
                options.folder, options.shrink, threads, options.rounds, options.keep
            )

        attempt("queries", measure_queries)
    if "startup" in options.only:

        def measure_start() -> None:
            path = options.folder / "tiny.pcap"
            generate(smaller(SHAPES["s"], 1000), path)
            results["start_up"] += startup.start_up(path, options.folder)

        attempt("start-up", measure_start)


def _capture(kind: str, options: argparse.Namespace, warm: Worker, results: dict[str, Any]) -> None:
    path = options.folder / f"{kind}.pcap"
    extra: dict[str, Path] = {}
    try:
        if kind in _MIXES:
            about = "replayed mix of real captures" if kind == "m" else "the same mix, four times as long"
            _, results["mixes"][kind] = write_mix(path, _MIXES[kind] // options.shrink)
        else:
            shape = smaller(SHAPES[kind], options.shrink)
            about = shape.about
            if not (path.exists() and options.keep):
                generate(shape, path)
        seconds = 0.0 if options.quick else _LEAST_S
        peer_turns = (1, 0.0) if options.quick else (2, _LEAST_PEER_S)
        entry = speed.rounds_of(path, warm, options.threads, options.rounds, seconds) | {"about": about}
        results["captures"][kind] = entry
        if kind == "b" and not options.quick:
            # The page cache then holds it in smaller pieces, which take longer to map.
            out_of_page_cache(path)
            again = speed.rounds_of(path, warm, options.threads, options.rounds, seconds)
            results["captures"]["b'"] = again | {"about": "the same, read back from the disk"}
        if kind == "s":
            extra = {"pcapng": options.folder / "s.pcapng", "gzip": options.folder / "s.pcap.gz"}
            to_pcapng(path, extra["pcapng"])
            to_gzip(path, extra["gzip"])
            results["containers"] += speed.containers(path, extra, warm, max(options.threads), options.rounds)
        if not options.no_peers and (kind in _QUICK_PEERS or not options.quick):
            entry["peers"] = speed.against_peers(
                path, entry["packets"], warm, max(options.threads), options.shrink, *peer_turns
            )
    finally:
        if not options.keep:
            for made in (path, *extra.values()):
                made.unlink(missing_ok=True)


def _command(words: list[str]) -> str:
    """Return the command without the folder, which is the machine's own affair."""
    kept = [
        word for before, word in zip(["", *words], words, strict=False) if "--folder" not in (before, word)
    ]
    return shlex.join(
        ["python", "-m", "benchmarks", *(word for word in kept if not word.startswith("--folder="))]
    )


def _shortage(options: argparse.Namespace) -> str:
    sizes = [bytes_needed(smaller(SHAPES[kind], options.shrink)) for kind in options.only if kind in SHAPES]
    # pcapng, gzip and slices of the same packets
    sizes = (
        [3 * size if "s" in options.only else size for size in sizes]
        if not options.keep
        else [3 * sum(sizes)]
    )
    mixes = [packets for kind, packets in _MIXES.items() if kind in options.only]
    sizes += [packets * _MIX_PACKET_BYTES // options.shrink for packets in mixes]
    if "memory" in options.only:
        sizes.append(memory.needed(options.shrink))
    if "queries" in options.only:
        sizes.append(queries.ROWS // options.shrink * queries.BYTES_PER_ROW)
    needed = max(sizes, default=0) + (1 << 28)
    free = shutil.disk_usage(options.folder).free
    if needed <= free:
        return ""
    return (
        f"{options.folder} has {free / 1e9:.1f} GB free, the captures need up to {needed / 1e9:.1f} GB;"
        " name another place with --folder, or take --quick or --only"
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help=f"captures of 1/{_QUICK} size, two rounds, peers on two captures"
    )
    parser.add_argument("--only", default=",".join(_KINDS), help=f"of {','.join(_KINDS)} (default: all)")
    parser.add_argument("--threads", default="", help="numbers of threads, as 1,2 (default: 1 and all cores)")
    parser.add_argument(
        "--rounds", type=int, default=0, help="rounds of each measurement (default: 5, quick 2)"
    )
    parser.add_argument("--no-peers", action="store_true", help="do not run other programs")
    parser.add_argument("--folder", type=Path, help="where captures are made (default: a temporary folder)")
    parser.add_argument("--keep", action="store_true", help="leave the captures there for the next run")
    parser.add_argument("-o", "--output", type=Path, help="write all figures as JSON")
    parser.add_argument("--markdown", type=Path, help="write the page for docs/explain/benchmarks.md")
    options = parser.parse_args()
    options.only = options.only.split(",")
    if unknown := sorted(set(options.only) - set(_KINDS)):
        parser.error(f"--only: {', '.join(unknown)} is not one of {', '.join(_KINDS)}")
    cores = len(os.sched_getaffinity(0))
    try:
        options.threads = sorted(
            {int(text) for text in options.threads.split(",")} if options.threads else {1, cores}
        )
    except ValueError:
        parser.error("--threads: numbers with commas between them, as 1,2")
    options.shrink = _QUICK if options.quick else 1
    options.rounds = options.rounds or (2 if options.quick else 5)
    # a folder of our own inside the one named, for it is removed as a whole; kept captures are found again by its name
    name = "lastack-bench" if options.keep else f"lastack-bench-{os.getpid()}"
    options.folder = (options.folder or Path(tempfile.gettempdir())) / name
    return options


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(text)
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main())
