"""The patterns of the captures still work here: played afresh, they show what their labels claim."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.system.own_captures import FOLDER, LABELS, SAMPLE, twin_rows
from tools import make_captures

from lastack.lab import missing
from lastack.lab.closes import PATTERNS, play

needs_lab = pytest.mark.skipif(missing() != "", reason=missing())


@pytest.mark.system
@needs_lab
@pytest.mark.parametrize(
    "name",
    ["refused", "syn_scan", "close_client_first", "reset_by_server_v6", "data_after_close", "port_reused"],
)
def test_pattern__played_afresh_shows_what_it_claims(name: str, tmp_path: Path) -> None:
    label = make_captures.write(play(PATTERNS[name]), tmp_path)
    rows = twin_rows(tmp_path / f"{name}.pcap")
    for row, claim in zip(rows, label.sessions, strict=True):
        assert {key: row[key] for key in claim if not key.startswith("kernel_")} == {
            key: value for key, value in claim.items() if not key.startswith("kernel_")
        }


def test_captures__are_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 500_000
    assert SAMPLE.stat().st_size < 300_000


def test_captures__each_pattern_has_one() -> None:
    assert {path.stem for path in FOLDER.glob("*.pcap")} == set(PATTERNS) == set(LABELS)
