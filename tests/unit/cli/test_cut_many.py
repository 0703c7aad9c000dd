"""`lastack sessions --packets`: the packets of exactly the sessions that pass."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import lastack
from lastack.cli.main import run

ROOT = Path(__file__).resolve().parents[3]
SAMPLE = ROOT / "samples" / "closes.pcapng"


@pytest.mark.parametrize("where", ["rst.count > 0", "opening != established", "", "server.port = 9000"])
def test_cut__is_tracked_to_the_same_rows(where: str, tmp_path: Path) -> None:
    out = tmp_path / "out.pcapng"
    arguments = [
        "sessions",
        str(SAMPLE),
        "-f",
        where,
        "--format",
        "csv",
        "-o",
        str(tmp_path / "rows.csv"),
        "-q",
    ]
    assert run([*arguments, "--columns", "session_id", "--packets", str(out)]) == 0
    wanted = (tmp_path / "rows.csv").read_text(encoding="utf-8").split()[1:]
    rows = {str(row["session_id"]): row for row in lastack.track(SAMPLE).table.to_pylist()}
    again = {str(row["session_id"]): row for row in lastack.track(out).table.to_pylist()}
    assert set(again) == set(wanted)
    counted = (
        "packets_clt",
        "packets_srv",
        "opening",
        "ending",
        "history",
        "start_ns",
        "end_ns",
        "state_clt",
    )
    for name, row in again.items():
        assert [row[column] for column in counted] == [rows[name][column] for column in counted]


def test_cut__packets_are_in_the_order_of_the_capture(tmp_path: Path) -> None:
    out = tmp_path / "out.pcapng"
    assert run(["sessions", str(SAMPLE), "--packets", str(out), "-q", "-o", str(tmp_path / "rows.csv")]) == 0
    summary = lastack.track(out).summary
    assert summary.ledger.backwards == 0
    assert summary.ledger.segments == lastack.track(SAMPLE).summary.ledger.segments


def test_cut__of_a_dataset_whose_captures_were_moved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    halves = [tmp_path / "a.pcapng", tmp_path / "b.pcap"]
    shutil.copy(SAMPLE, halves[0])
    shutil.copy(ROOT / "tests" / "captures" / "half_close_client.pcap", halves[1])
    assert run(["analyze", *map(str, halves), "-o", str(tmp_path / "data"), "-q"]) == 0
    (tmp_path / "archive").mkdir()
    for half in halves:
        half.rename(tmp_path / "archive" / half.name)
    out = tmp_path / "out.pcapng"
    arguments = ["sessions", str(tmp_path / "data"), "-f", "half_closed_bytes > 0", "--packets", str(out)]
    assert run(arguments) == 3
    assert "--captures" in capsys.readouterr().err
    assert run([*arguments, "--captures", str(tmp_path / "archive")]) == 0
    whole = lastack.track(tmp_path / "archive" / "a.pcapng")["half_closed_bytes"]
    assert len(lastack.track(out)) == (whole > 0).sum() + 1


def test_cut__nothing_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out.pcapng"
    assert run(["sessions", str(SAMPLE), "-f", "server.port = 1", "--packets", str(out)]) == 0
    assert "not written, as no session passes" in capsys.readouterr().err
    assert not out.exists()


def test_cut__never_over_its_source_or_the_rows(tmp_path: Path) -> None:
    capture = tmp_path / "x.pcapng"
    shutil.copy(SAMPLE, capture)
    assert run(["sessions", str(capture), "--packets", str(capture), "-o", str(tmp_path / "r.csv")]) == 3
    assert capture.read_bytes() == SAMPLE.read_bytes()
    assert run(["sessions", str(capture), "--packets", "-"]) == 2
