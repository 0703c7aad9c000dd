"""`lastack show`: finds a session, reads its packets again, draws and cuts them."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from tests.unit.query.rows import rows

import lastack
from lastack.cli.main import run
from lastack.cli.show import filter_of
from lastack.store.manifest import Run
from lastack.store.writer import DatasetWriter

ROOT = Path(__file__).resolve().parents[3]
CAPTURES = ROOT / "tests" / "captures"
ENDS = "192.0.2.1:40001-192.0.2.2:8080"
PACKETS = lastack.track(CAPTURES / "half_close_client.pcap", threads=1).summary.ledger.segments


@pytest.fixture
def invented(tmp_path: Path) -> str:
    # rows that no capture stands behind
    with DatasetWriter(tmp_path / "data") as writer:
        writer.write(rows({"server_port": 80}, {"server_port": 443, "packets_clt": 9}))
        writer.finish(Run(("a.pcap",), packets=20, segments=20, sessions=2))
    return str(tmp_path / "data")


@pytest.fixture
def moved(tmp_path: Path) -> tuple[str, Path, int]:
    # a dataset whose capture was moved, the new folder, and a session id
    capture = tmp_path / "here.pcap"
    shutil.copy(CAPTURES / "half_close_client.pcap", capture)
    assert run(["analyze", str(capture), "-o", str(tmp_path / "data"), "-q"]) == 0
    session = int(lastack.track(capture).table.column("session_id")[0].as_py())
    (tmp_path / "archive").mkdir()
    capture.rename(tmp_path / "archive" / "here.pcap")
    return str(tmp_path / "data"), tmp_path / "archive", session


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    capsys.readouterr()
    assert run(["show", *arguments, "--format", "json"]) == 0
    return json.loads(capsys.readouterr().out)


# --- which session ----------------------------------------------------------------------------------------


def test_show__by_id_of_a_dataset_without_its_capture(
    invented: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["show", "2", "-i", invented]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("10.0.0.1:40000 → 192.0.2.1:443")
    assert "Ladder" not in said.out
    assert "packets are not shown: test.pcap" in said.err


def test_show__by_ends_in_either_order(invented: str, capsys: pytest.CaptureFixture[str]) -> None:
    content = shown(capsys, "192.0.2.1:80-10.0.0.1:40000", "-i", invented)
    assert content["session"]["session_id"] == 1
    assert content["ladder"] is None


def test_show__v6_ends_have_brackets() -> None:
    assert "client.ip = 2001:db8::1 and client.port = 5" in filter_of("[2001:db8::1]:5-[2001:db8::2]:80")


@pytest.mark.parametrize("text", ["x", "10.0.0.1-10.0.0.2", "", "-5", "1:2:3"])
def test_show__nonsense_is_refused(text: str, invented: str) -> None:
    assert run(["show", "-i", invented, "--", text]) == 2


def test_show__unknown_session(invented: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["show", "99", "-i", invented]) == 2
    assert "no session 99" in capsys.readouterr().err


def test_show__lists_the_others_of_the_same_ends(capsys: pytest.CaptureFixture[str]) -> None:
    capture = str(CAPTURES / "port_reused.pcap")
    assert run(["show", ENDS, "-i", capture, "--nth", "2"]) == 0
    out = capsys.readouterr().out
    assert "Session 2 of 2 that fit" in out
    assert ">   2" in out
    first, second = (shown(capsys, ENDS, "-i", capture, "--nth", str(n)) for n in (1, 2))
    assert first["ladder"][-1]["packet"] < second["ladder"][0]["packet"]
    assert run(["show", ENDS, "-i", capture, "--nth", "3"]) == 2


# --- its packets ------------------------------------------------------------------------------------------


def test_show__json_has_record_verdict_and_ladder(capsys: pytest.CaptureFixture[str]) -> None:
    content = shown(capsys, ENDS, "-i", str(CAPTURES / "close_client_first.pcap"))
    session, ladder = content["session"], content["ladder"]
    assert content["verdict"]["cause"] == session["cause"]
    assert len(ladder) == session["packets_clt"] + session["packets_srv"]
    assert ladder[0]["flags"] == ["SYN"]
    assert ladder[-1]["state_server"] == "CLOSED"


def test_show__dataset_finds_its_capture_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    capture = str(CAPTURES / "half_close_client.pcap")
    assert run(["analyze", capture, "-o", str(tmp_path / "data"), "-q"]) == 0
    assert len(shown(capsys, ENDS, "-i", str(tmp_path / "data"))["ladder"]) == PACKETS


def test_show__moved_capture_is_told_and_found(
    moved: tuple[str, Path, int], capsys: pytest.CaptureFixture[str]
) -> None:
    dataset, folder, session = moved
    content = shown(capsys, str(session), "-i", dataset)
    assert content["ladder"] is None
    assert "--captures FILE or FOLDER" in content["notes"][0]
    for place in (folder, folder / "here.pcap"):
        assert len(shown(capsys, str(session), "-i", dataset, "--captures", str(place))["ladder"]) == PACKETS


def test_show__changed_capture_is_told(
    moved: tuple[str, Path, int], capsys: pytest.CaptureFixture[str]
) -> None:
    dataset, folder, session = moved
    shutil.copy(CAPTURES / "close_server_first.pcap", folder / "here.pcap")
    content = shown(capsys, str(session), "-i", dataset, "--captures", str(folder))
    assert content["ladder"] is None
    assert "changed since the record was made" in content["notes"][0]


def test_show__grown_capture_is_told(
    moved: tuple[str, Path, int], capsys: pytest.CaptureFixture[str]
) -> None:
    dataset, folder, session = moved
    whole = (folder / "here.pcap").read_bytes()
    (folder / "here.pcap").write_bytes(whole[:-200])
    content = shown(capsys, str(session), "-i", dataset, "--captures", str(folder))
    assert any("the captures now have" in note for note in content["notes"])


def test_show__standard_input_cannot_be_read_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with DatasetWriter(tmp_path / "data") as writer:
        writer.write(rows({"sensor": "stdin"}))
        writer.finish(Run(("stdin",), packets=9, segments=9, sessions=1))
    assert "cannot be read again" in shown(capsys, "1", "-i", str(tmp_path / "data"))["notes"][0]


def test_show__session_over_two_files_is_one_ladder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = (CAPTURES / "half_close_client.pcap").read_bytes()
    cut = 24
    for _ in range(8):
        cut += 16 + int.from_bytes(data[cut + 8 : cut + 12], "little")
    (tmp_path / "a.pcap").write_bytes(data[:cut])
    (tmp_path / "b.pcap").write_bytes(data[:24] + data[cut:])
    files = [str(tmp_path / name) for name in ("a.pcap", "b.pcap")]
    content = shown(capsys, ENDS, "-i", files[0], "-i", files[1])
    assert [step["capture"] for step in content["ladder"]] == [files[0]] * 8 + [files[1]] * (PACKETS - 8)
    assert [step["packet"] for step in content["ladder"]] == [*range(1, 9), *range(1, PACKETS - 7)]
    assert run(["show", ENDS, "-i", files[0], "-i", files[1]]) == 0
    assert f" B:{PACKETS - 8} " in capsys.readouterr().out


# --- cutting ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["half_close_client", "rejected_icmp", "vxlan", "any_interface", "qinq"])
def test_packets__file_gives_the_same_record(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capture, out = str(CAPTURES / f"{name}.pcap"), tmp_path / "out.pcapng"
    row = lastack.track(capture).table.to_pylist()[0]
    assert run(["show", str(row["session_id"]), "-i", capture, "--packets", str(out)]) == 0
    assert f"packets written to {out}" in capsys.readouterr().err
    again = lastack.track(out).table.to_pylist()
    assert len(again) == 1
    numbers = {"first_packet", "evidence"}
    assert {k for k, v in row.items() if again[0][k] != v} <= {"sensor", *numbers}


@pytest.mark.tshark
@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
@pytest.mark.parametrize(
    "name", ["close_client_first", "many_on_one_server", "vxlan", "close_client_first_v6"]
)
def test_packets__tshark_reads_the_same_packets(name: str, tmp_path: Path) -> None:
    capture, out = str(CAPTURES / f"{name}.pcap"), tmp_path / "out.pcapng"
    row = lastack.track(capture).table.to_pylist()[-1]
    assert run(["show", str(row["session_id"]), "-i", capture, "--packets", str(out), "-q"]) == 0
    fields = ["-T", "fields", "-e", "frame.time_epoch", "-e", "tcp.seq_raw", "-e", "frame.len"]

    def lines(path: object) -> list[str]:
        command = ["tshark", "-r", str(path), "-Y", "tcp", *fields]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()

    cut, whole = lines(out), lines(capture)
    assert len(cut) == row["packets_clt"] + row["packets_srv"]
    assert set(cut) <= set(whole)


def test_packets__never_over_the_capture_itself(tmp_path: Path) -> None:
    capture = tmp_path / "x.pcap"
    shutil.copy(CAPTURES / "refused.pcap", capture)
    before = capture.read_bytes()
    assert run(["show", ENDS, "-i", str(capture), "--packets", str(capture)]) == 2
    assert capture.read_bytes() == before


def test_packets__without_a_capture_is_an_error(invented: str, tmp_path: Path) -> None:
    assert run(["show", "1", "-i", invented, "--packets", str(tmp_path / "x.pcapng")]) == 3
    assert not (tmp_path / "x.pcapng").exists()


@pytest.mark.parametrize("form", ["text", "json"])
def test_packets__do_not_mix_with_the_page(form: str) -> None:
    assert run(["show", ENDS, "-i", str(CAPTURES / "refused.pcap"), "--packets", "-", "--format", form]) == 2
