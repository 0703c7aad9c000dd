"""Verdicts are the same on any number of threads and windows, and what the run shows counts."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from tests.matrix.cases import CAPTURES, cases
from tests.matrix.judge import Addresses
from tests.naive.packets import Packet
from tests.naive.write import write

import lastack

SECONDS = 120
COLUMNS = ["session_id", "cause", "cause_confidence", "actor", "harm", "end_panos", "end_ipfix"]


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every capture and timeline in one file."""
    addresses = Addresses()
    packets: list[Packet] = []
    for number, case in enumerate(cases()):
        packets += (addresses.move(packet, number) for packet in case.packets)
    return write(tmp_path_factory.mktemp("crowd") / "all.pcap", packets)


@pytest.mark.parametrize(("threads", "window"), [(2, None), (1, 1 << 16), (8, 1 << 16)])
def test_verdicts__do_not_depend_on_threads_and_windows(
    crowd: Path, threads: int, window: int | None
) -> None:
    one = lastack.track(crowd, threads=1).table.select(COLUMNS)
    other = lastack.track(crowd, threads=threads, window_bytes=window).table.select(COLUMNS)
    assert one.to_pylist() == other.to_pylist()


@pytest.mark.parametrize("few", [0, 1 << 18])
@pytest.mark.parametrize("threads", [2, 3])
def test_rows__never_wait_for_whom_they_keep_waiting(
    crowd: Path, threads: int, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lastack.app.pipeline._FEW_SESSIONS", few)
    monkeypatch.setattr("lastack.tracking.tracker.ROWS_PER_BATCH", 64)
    monkeypatch.setattr("lastack.tracking.tracker._WORTH_SHARING", 64)
    done = threading.Event()

    def work() -> None:
        for _ in range(6):
            lastack.track(crowd, threads=threads)
        done.set()

    threading.Thread(target=work, daemon=True).start()
    assert done.wait(SECONDS)


def test_rows__do_not_wait_for_what_failed(crowd: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lastack.app.pipeline.Crowd.of_tables", interrupted)
    monkeypatch.setattr("lastack.tracking.tracker.ROWS_PER_BATCH", 64)
    monkeypatch.setattr("lastack.tracking.tracker._WORTH_SHARING", 64)
    with pytest.raises(KeyboardInterrupt):
        lastack.track(crowd, threads=2)


def test_one_syn__says_nothing_where_one_direction_was_captured(tmp_path: Path) -> None:
    syn = Packet(10**18, "10.0.0.1", 40000, "10.0.0.2", 80, 100, 0, 2)
    answer = Packet(10**18, "10.0.0.4", 80, "10.0.0.3", 40001, 500, 101, 18)
    other = Packet(10**18, "10.0.0.3", 40001, "10.0.0.4", 80, 100, 0, 2)
    alone = lastack.track(write(tmp_path / "one.pcap", [syn])).table
    assert alone.column("cause").to_pylist() == ["observer_limit"]
    both = lastack.track(write(tmp_path / "both.pcap", [syn, other, answer])).table
    assert both.column("cause").to_pylist() == ["unanswered", "half_open_client_gone"]


def test_repeated_syns__are_unanswered_anywhere() -> None:
    assert lastack.track(CAPTURES / "syn_dropped.pcap").table.column("cause").to_pylist() == ["unanswered"]


@pytest.mark.parametrize("name", ["syn_flood", "syn_scan", "many_on_one_server"])
def test_crowds__of_the_table_are_those_of_its_attempts(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from lastack.diagnosis.columns import Columns
    from lastack.diagnosis.crowd import Crowd, Run, attempts_of
    from lastack.tracking.attempts import attempts, half_open

    seen = []
    crowds = []
    of_tables = Crowd.of_tables

    def both(tables: list[tuple[object, object]], run: Run) -> Crowd:
        one, other = (
            of_tables(tables, run),
            Crowd(half_open(tables), lambda ports: attempts(tables)),
        )
        seen.append((one._places, other._places))
        crowds.append(one)
        return one

    monkeypatch.setattr(Crowd, "of_tables", both)
    table = lastack.track(CAPTURES / f"{name}.pcap").table
    assert len(seen) == 1
    cols = Columns(table, np.arange(table.num_rows)[::-1])
    held = crowds[0].holds(attempts_of(cols))
    assert held.any() == (name == "syn_flood")
    assert (crowds[0].holds_rows(cols) == held).all()
    one, other = seen[0]
    assert one.keys() == other.keys()
    assert (name == "syn_flood") == bool(one)
    for shift, places in one.items():
        assert set(places.tolist()) == set(other[shift].tolist())


def test_limit__what_ends_after_the_last_eviction_has_a_row(tmp_path: Path) -> None:
    def packet(ns: int, n: int, flags: int) -> Packet:
        return Packet(10**18 + ns, "10.0.0.1", 1000 + n, "10.0.0.2", 80, 100, 100, flags)

    packets = [packet(n, n, 2) for n in range(3000)]
    # a packet after the idle time begins a session, and ends the one before
    packets += [packet(3 * 10**9 * turn + n, n, 16) for turn in range(1, 4) for n in range(2960, 3000)]
    path = write(tmp_path / "many.pcap", packets)
    table = lastack.track(path, threads=1, max_sessions=512, idle_timeout_ns=10**9).table
    placed = sum(table.column("packets_clt").to_pylist()) + sum(table.column("packets_srv").to_pylist())
    assert placed == len(packets)
