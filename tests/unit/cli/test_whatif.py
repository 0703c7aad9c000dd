"""`lastack whatif`, `recommend` and `timers` from the command line, on the sample that comes with the project."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from lastack.cli.main import run

SAMPLE = str(Path(__file__).resolve().parents[3] / "samples" / "closes.pcapng")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = str(tmp_path_factory.mktemp("whatif") / "today")
    assert run(["analyze", SAMPLE, "-o", path, "-q"]) == 0
    return path


def _out(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    capsys.readouterr()
    code = run([*words])
    out, err = capsys.readouterr()
    assert code == 0, err
    return out


def test_whatif__breaks_what_the_sample_says(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    # samples/README.md: the firewall forgets after 8 s, so the answers after 11, 12 and 16 s are lost.
    text = _out(
        capsys, "whatif", dataset, "--profile", "panos", "--set", "half_closed=8s", "--format", "json"
    )
    document = json.loads(text)
    (now,) = document["answers"][0]["settings"]
    assert (now["broken_least"], now["broken_most"], now["data_lost"]) == (3, 3, 3)
    assert now["lost_bytes_least"] == now["lost_bytes_most"] > 30_000
    assert document["detail"]["broken"] == 3
    assert sum(a["sessions"] for a in document["answers"][0]["by_application"]) == 218


def test_whatif__an_override_saves_its_application_only(
    dataset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["whatif", dataset, "--profile", "panos", "--set", "half_closed=8s", "--format", "json"]
    document = json.loads(_out(capsys, *words, "--app", "9000.half_closed=1h"))
    assert document["answers"][0]["settings"][0]["broken_most"] == 0


def test_whatif__lists_the_sessions_with_what_they_lost(
    dataset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["whatif", dataset, "--profile", "panos", "--set", "half_closed=8s", "--list"]
    rows = list(csv.DictReader(io.StringIO(_out(capsys, *words, "--format", "csv"))))
    assert len(rows) == 3
    assert {row["server_port"] for row in rows} == {"9000"}
    assert {(row["hangs_clt"], row["hangs_srv"]) for row in rows} == {("FIN_WAIT_2", "LAST_ACK")}
    records = _out(capsys, *words, "--format", "jsonl").splitlines()
    assert [json.loads(line)["session_id"] for line in records] == [int(row["session_id"]) for row in rows]
    assert _out(capsys, *words, "--limit", "1").count("data_lost") == 1


def test_whatif__a_sweep_falls_in_sessions_and_rises_in_entries(
    dataset: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ["whatif", dataset, "--profile", "panos", "--sweep", "half_closed=1s..1h/20"]
    rows = list(csv.DictReader(io.StringIO(_out(capsys, *words, "--format", "csv"))))
    assert len(rows) == 20
    assert (rows[0]["seconds"], rows[-1]["seconds"]) == ("1.0", "3600.0")
    broken = [int(row["broken_most"]) for row in rows]
    entries = [float(row["mean_entries"]) for row in rows]
    assert broken == sorted(broken, reverse=True)
    assert broken[0] > broken[-1] == 0
    assert entries == sorted(entries)
    _out(capsys, *words, "-o", str(tmp_path / "sweep.svg"))
    assert (tmp_path / "sweep.svg").read_text().startswith("<?xml")
    assert "half_closed from 1 s to 1 h" in _out(capsys, *words)


def test_whatif__compares_boxes(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = _out(capsys, "whatif", dataset, "--compare", "panos_legacy,panos,cisco_asa,linux_conntrack")
    assert all(name in text for name in ("panos_legacy", "panos", "cisco_asa", "linux_conntrack"))


def test_whatif__from_a_capture_equals_from_its_dataset(
    dataset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "--profile",
        "panos",
        "--set",
        "half_closed=3s",
        "--sweep",
        "half_closed=2s,8s",
        "--format",
        "csv",
        "-q",
    ]
    assert _out(capsys, "whatif", dataset, *words) == _out(capsys, "whatif", SAMPLE, *words)


def test_whatif__says_when_a_flood_fills_the_table(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["whatif", dataset, "--profile", "cisco_asa", "--flood", "100k/s", "--table-size", "500k"]
    (found,) = json.loads(_out(capsys, *words, "--format", "json"))["loads"].values()
    assert found["offered_entries"] > 3_000_000  # 30 s of embryonic entries
    assert 4 < found["seconds_to_full"] < 5.1
    assert "SYN flood" in _out(capsys, *words)


def test_whatif__arithmetic_needs_no_input(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["whatif", "--arrivals", "1300/s", "--hold", "1h", "--table-size", "655360"]
    assert "4,680,000 entries" in _out(capsys, *words)
    assert json.loads(_out(capsys, *words, "--format", "json"))["seconds_to_full"] == pytest.approx(
        504, abs=1
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--profile", "panoz"], "panos"),
        ([], "--profile"),
        (["--profile", "linux_host"], "is a host"),
        (["--profile", "panos", "--set", "half_closd=30s"], "half_closed"),
        (["--profile", "panos", "--sweep", "half_closed=1h..5s"], "short to long"),
        (["--profile", "panos", "--sweep", "half_closed=1s..5s/1"], "2 to 10000"),
        (["--profile", "panos", "--sweep", "half_closed", "--list"], "exclude"),
        (["--profile", "panos", "--format", "csv"], "--sweep and --list"),
        (["--profile", "panos", "--flood", "lots"], "is not a rate"),
        (["--profile", "panos", "--fork", "closing_refresh"], "QUESTION=ANSWER"),
        (["--hold", "1h"], "go together"),
        (["--compare", ","], "needs boxes"),
    ],
)
def test_whatif__refuses_with_a_remedy(
    dataset: str, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert run(["whatif", dataset, *words]) == 2
    assert message in capsys.readouterr().err


def test_recommend__keeps_the_budget_when_run_as_a_whole(
    dataset: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for share in ("0", "1%", "0.05"):
        words = ["recommend", dataset, "--profile", "panos", "--break-at-most", share]
        document = json.loads(_out(capsys, *words, "--format", "json"))
        assert document["broken_most"] <= document["may_break"]
        assert document["curve"][0]["broken_most"] == 0
    assert "port 9000" in _out(capsys, *words[:-1], "1%")


def test_recommend__needs_sessions(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["recommend", dataset, "--profile", "panos", "-f", "server.port = 1"]) == 2
    assert "no session" in capsys.readouterr().err


def test_whatif__without_a_session_is_no_error(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["whatif", dataset, "--profile", "panos", "-f", "server.port = 1"]
    assert "None: every packet" in _out(capsys, *words, "--growth", "2", "--flood", "10/s")
    assert _out(capsys, *words, "--list", "--format", "csv") == ""


def test_timers__claims_nothing_from_three_deaths(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    document = json.loads(_out(capsys, "timers", dataset, "--format", "json"))
    assert document["timers"] == []
    assert document["died"]["half_closed"] == 3
    assert run(["timers", dataset, "--fail"]) == 0
