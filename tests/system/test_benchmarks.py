"""The captures that benchmarks are made on are what they say, every time."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("numba")
from benchmarks import generate, mix, report, shapes, variants

import lastack

SMALL = shapes.smaller(shapes.SHAPES["s"], 400)
FLOOD = shapes.smaller(shapes.SHAPES["c"], 400)


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "s.pcap"
    generate.generate(SMALL, path)
    return path


def test_generated__is_the_same_each_time(capture: Path, tmp_path: Path) -> None:
    assert generate.generate(SMALL, tmp_path / "again.pcap") == SMALL.all_packets
    again = (tmp_path / "again.pcap").read_bytes()
    assert hashlib.sha256(again).digest() == hashlib.sha256(capture.read_bytes()).digest()


def test_generated__fits_the_space_that_is_asked_for(capture: Path) -> None:
    assert capture.stat().st_size <= generate.bytes_needed(SMALL) * 1.1


def test_generated__has_its_sessions_with_nothing_odd(capture: Path) -> None:
    table = lastack.track(capture).table
    assert table.num_rows == SMALL.sessions
    packets = sum(table["packets_clt"].to_pylist()) + sum(table["packets_srv"].to_pylist())
    assert packets == SMALL.packets
    assert set(table["opening"].to_pylist()) == {"established"}
    assert set(table["ending"].to_pylist()) <= {"closed", "rst", "open"}
    assert sum(table["retx_packets_clt"].to_pylist()) + sum(table["retx_packets_srv"].to_pylist()) == 0
    assert set(table["observed"].to_pylist()) <= {"complete", "end_missing"}


def test_generated__a_flood_is_half_open_and_unanswered(tmp_path: Path) -> None:
    path = tmp_path / "c.pcap"
    assert generate.generate(FLOOD, path) == FLOOD.all_packets
    openings = Counter(lastack.track(path).table["opening"].to_pylist())
    answered = int(FLOOD.attackers * FLOOD.answered)
    assert openings == {
        "half_open": answered, "unanswered": FLOOD.attackers - answered, "established": FLOOD.sessions
    }  # fmt: skip


def test_containers__hold_the_same_sessions(capture: Path, tmp_path: Path) -> None:
    variants.to_pcapng(capture, tmp_path / "s.pcapng")
    variants.to_gzip(capture, tmp_path / "s.pcap.gz")
    plain = _rows(capture)
    assert _rows(tmp_path / "s.pcapng") == plain
    assert _rows(tmp_path / "s.pcap.gz") == plain


def test_slice__is_the_first_packets(capture: Path, tmp_path: Path) -> None:
    assert variants.slice_of(capture, tmp_path / "part.pcap", 10) == 10
    part = (tmp_path / "part.pcap").read_bytes()
    assert capture.read_bytes().startswith(part)


def test_mix__repeats_captures_at_other_addresses(tmp_path: Path) -> None:
    packets, about = mix.write_mix(tmp_path / "m.pcap", 10_000)
    assert packets > 5_000
    assert "real captures" in about
    table = lastack.track(tmp_path / "m.pcap").table
    keys = table.group_by(["client_ip", "client_port", "server_ip", "server_port"]).aggregate([])
    # the sample alone has 218 sessions, and each time it comes they are new ones
    assert keys.num_rows > 2 * 218


def test_report__says_what_was_not_measured() -> None:
    results: dict[str, Any] = {
        "command": "python -m benchmarks --only s", "machine": {"cpu": "one"}, "captures": {}, "containers": [],
        "memory": [], "start_up": [], "left_out": ["capture a: no space"], "mix": "",
    }  # fmt: skip
    page = report.as_markdown(results)
    assert "`python -m benchmarks --only s`" in page
    assert "- capture a: no space" in page


def _rows(path: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = lastack.track(path).table.to_pylist()
    for row in rows:
        del row["sensor"]
    return rows
