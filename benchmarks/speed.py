"""Speed: rounds of `cat` and of the engine in turn, on a capture that is in the page cache; then the peers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.measure import MeasurementError, Times, Worker, cat, into_page_cache, process, program
from benchmarks.peers import PEERS, Peer
from benchmarks.variants import slice_of

Result = dict[str, Any]


def turns(rounds: int, seconds: float) -> Iterator[int]:
    """Count rounds: as many as asked for, and more until they have taken so many seconds together.

    The shorter a measurement, the larger the part of it that something else on the machine can take.
    """
    began, count = time.monotonic(), 0
    while count < rounds or time.monotonic() - began < seconds:
        yield count
        count += 1


def rounds_of(path: Path, worker: Worker, threads: list[int], rounds: int, seconds: float) -> Result:
    """Return times of `cat` and of the engine on each number of threads, interleaved so that load hits all alike.

    Args:
        path: The capture.
        worker: Runs the engine.
        threads: How many threads, each in turn.
        rounds: How often at least.
        seconds: How long at least.
    """
    cats: list[float] = []
    engine: dict[int, list[float]] = {count: [] for count in threads}
    cpu: dict[int, list[float]] = {count: [] for count in threads}
    # what this kind of capture is the first to need is compiled now
    answer = worker.track(path, threads=max(threads))
    for _ in turns(rounds, seconds):
        into_page_cache(path)
        cats.append(cat(path))
        for count in threads:
            answer = worker.track(path, threads=count)
            engine[count].append(answer["seconds"])
            cpu[count].append(answer["cpu_seconds"])
    plain = Times(tuple(cats))
    return {
        "packets": answer["packets"],
        "rounds": len(cats),
        "rows": answer["rows"],
        "peak_rss": answer["peak_rss"],
        "bytes": path.stat().st_size,
        "cat": {"best": plain.best, "median": plain.median},
        "lastack": [
            _line(Times(tuple(engine[count])), min(cpu[count]), count, answer["packets"], plain)
            for count in threads
        ],
    }


def _line(times: Times, cpu: float, threads: int, packets: int, plain: Times) -> Result:
    return {
        "threads": threads,
        "best": times.best,
        "median": times.median,
        "packets_per_s": packets / times.best,
        "ns_per_packet": times.best * 1e9 / packets,
        "cpu_ns_per_packet": cpu * 1e9 / packets,
        "ratio_to_cat": times.best / plain.best,
    }


def against_peers(
    path: Path, packets: int, worker: Worker, threads: int, shrink: int, rounds: int, seconds: float
) -> list[Result]:
    """Return each installed peer's speed on the capture, or on its first packets, beside LastACK's on the same.

    Two comparisons: whole processes, as a person waits for them (LastACK's is `lastack analyze`), and both without
    what they take for ten packets, which is start-up and, with some, a wait at the end.
    """
    results: list[Result] = []
    tiny = path.with_name(f"{path.stem}-tiny.pcap")
    slice_of(path, tiny, 10)
    ours: dict[int, tuple[float, float]] = {}
    for peer in PEERS:
        if missing := peer.missing():
            results.append({"peer": peer.name, "skipped": f"not installed ({missing})"})
            continue
        part, count = path, packets
        if packets > (most := peer.most_packets // shrink):
            part = path.with_name(f"{path.stem}-first{most}.pcap")
            count = slice_of(path, part, most)
        try:
            into_page_cache(part)
            if count not in ours:
                engine = min(worker.track(part, threads=threads)["seconds"] for _ in turns(3, seconds))
                whole = [process([program(), "analyze", str(part)]) for _ in turns(rounds, seconds)]
                ours[count] = engine, min(whole)
            start = min(peer.seconds(tiny) for _ in range(rounds))
            best = min(peer.seconds(part) for _ in turns(rounds, seconds))
            results.append(_beside(peer, count, start, best, *ours[count]))
        except MeasurementError as error:
            results.append({"peer": peer.name, "skipped": str(error)})
        finally:
            if part != path:
                part.unlink()
    tiny.unlink()
    return results


def _beside(peer: Peer, count: int, start: float, best: float, engine: float, whole: float) -> Result:
    work = best - start
    return {
        "peer": peer.name, "gives": peer.gives, "packets": count, "seconds": best, "start": start,
        "packets_per_s": count / best, "times_slower": best / whole, "times_slower_by_rate": best / engine,
        # less than a fifth of the whole is noise
        "times_slower_without_start": work / engine if work > best / 5 else None,
    }  # fmt: skip


def containers(
    path: Path, variants: dict[str, Path], worker: Worker, threads: int, rounds: int
) -> list[Result]:
    """Return the time of the same packets in other containers, beside that of the bare pcap and of the tool alone."""
    bare: list[float] = []
    times: dict[str, list[float]] = {name: [] for name in variants}
    alone: dict[str, list[float]] = {name: [] for name in variants}
    for variant in variants.values():
        worker.track(variant, threads=threads)
    for _ in range(rounds):
        into_page_cache(path)
        bare.append(worker.track(path, threads=threads)["seconds"])
        for name, variant in variants.items():
            into_page_cache(variant)
            times[name].append(worker.track(variant, threads=threads)["seconds"])
            alone[name].append(_alone(variant))
    return [
        {
            "container": name, "bytes": variants[name].stat().st_size, "seconds": min(times[name]),
            "ratio_to_pcap": min(times[name]) / min(bare), "tool": _TOOL[variants[name].suffix],
            "ratio_to_tool": min(times[name]) / min(alone[name]),
        }
        for name in variants
    ]  # fmt: skip


_TOOL = {".gz": "gzip -dc", ".pcapng": "cat"}


def _alone(path: Path) -> float:
    return process([*_TOOL[path.suffix].split(), str(path)])
