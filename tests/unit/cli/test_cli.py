from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.unit.query.rows import rows

from lastack.cli import docs
from lastack.cli.main import COMMANDS, run
from lastack.store.manifest import Run
from lastack.store.writer import DatasetWriter

ROOT = Path(__file__).resolve().parents[3]
SAMPLE = ROOT / "samples" / "closes.pcapng"


@pytest.fixture
def dataset(tmp_path: Path) -> str:
    with DatasetWriter(tmp_path / "data") as writer:
        writer.write(
            rows({"server_port": 80}, {"server_port": 443, "packets_clt": 9}, {"opening": "midstream"})
        )
        writer.finish(Run(("a.pcap",), packets=20, segments=20, sessions=3))
    return str(tmp_path / "data")


def lastack(*arguments: str, check: bool = False, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lastack.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=check, **options)


# --- starting up ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["sessions", "--help"], ["analyze", "--help"], ["fields"]]
)
def test_help__imports_nothing_heavy(arguments: list[str]) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "lastack.cli.main", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    imported = {
        line.rsplit("|", 1)[-1].strip().split(".")[0] for line in done.stderr.splitlines() if "|" in line
    }
    assert not imported & {"numpy", "numba", "pyarrow", "duckdb", "rich"}


def test_question_to_a_dataset__does_not_load_the_compiler(dataset: str) -> None:
    script = (
        "import sys; from lastack.cli.main import run; run(sys.argv[1:]); sys.exit('numba' in sys.modules)"
    )
    command = [sys.executable, "-c", script, "analyze", dataset]
    assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == 0


@pytest.mark.parametrize("name", list(COMMANDS))
def test_help__ends_with_examples(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([name, "--help"]) == 0
    _, _, examples = capsys.readouterr().out.partition("Examples:\n")
    assert examples.strip().startswith("lastack ")


# --- exit codes -------------------------------------------------------------------------------------------


def test_exit__0_done(dataset: str) -> None:
    assert run(["sessions", dataset]) == 0


def test_exit__2_wrong_filter_with_a_caret(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sessions", dataset, "-f", "pakets > 3"]) == 2
    assert capsys.readouterr().err == (
        "lastack: filter: no field is called 'pakets': did you mean packets?\n  pakets > 3\n  ^^^^^^\n"
    )


def test_exit__2_wrong_option(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sessions", "x.pcap", "--fromat", "csv"]) == 2
    assert "--format" in capsys.readouterr().err


def test_exit__2_wrong_command_has_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyse", "x.pcap"]) == 2
    assert "did you mean analyze?" in capsys.readouterr().err


def test_exit__2_parquet_to_a_terminal(dataset: str) -> None:
    assert run(["sessions", dataset, "--format", "parquet"]) == 2


def test_exit__3_not_a_dataset(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sessions", str(tmp_path)]) == 3
    assert "not a dataset" in capsys.readouterr().err


def test_exit__3_missing_capture_and_no_dataset_is_left(tmp_path: Path) -> None:
    assert run(["analyze", str(tmp_path / "no.pcap"), "-o", str(tmp_path / "data")]) == 3
    assert not (tmp_path / "data").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_exit__4_unreadable(tmp_path: Path) -> None:
    (tmp_path / "x.pcap").write_bytes(b"x")
    (tmp_path / "x.pcap").chmod(0)
    assert run(["analyze", str(tmp_path / "x.pcap")]) == 4


def test_exit__130_interrupted(dataset: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lastack.app.sessions.ask", interrupt)
    assert run(["sessions", dataset]) == 130


def test_broken_pipe__is_quiet(dataset: str) -> None:
    script = f"{sys.executable} -m lastack.cli.main sessions {dataset} --format jsonl | true"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""


# --- sessions ---------------------------------------------------------------------------------------------


def test_sessions__filter_columns_sort_limit(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [
        "-f",
        "packets > 5",
        "--columns",
        "server.port,packets_clt",
        "--sort",
        "-packets.clt",
        "--limit",
        "1",
    ]
    assert run(["sessions", dataset, "--format", "csv", *arguments]) == 0
    assert capsys.readouterr().out == "server_port,packets_clt\n443,9\n"


def test_sessions__several_datasets_are_one_answer(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sessions", dataset, dataset, "--format", "csv", "--columns", "session_id"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 7


def test_sessions__format_follows_the_file_name(dataset: str, tmp_path: Path) -> None:
    assert run(["sessions", dataset, "-o", str(tmp_path / "out.jsonl")]) == 0
    assert len([json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]) == 3


def test_sessions__failed_question_leaves_no_file(dataset: str, tmp_path: Path) -> None:
    assert run(["sessions", dataset, str(tmp_path / "no.pcap"), "-o", str(tmp_path / "out.csv")]) == 3
    assert not (tmp_path / "out.csv").exists()


def test_sessions__wrong_column_has_the_nearest(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["sessions", dataset, "--columns", "clientip"]) == 2
    assert "did you mean client_ip?" in capsys.readouterr().err


# --- analyze ----------------------------------------------------------------------------------------------


def test_analyze__json_is_whole(dataset: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze", dataset, "--format", "json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["ledger"]["sessions"] == 3
    assert facts["run"]["packets"] == 20


def test_analyze__partial_dataset_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with DatasetWriter(tmp_path / "data") as writer:
        writer.write(rows({}))
    assert run(["analyze", str(tmp_path / "data")]) == 0
    assert "not complete: the run that wrote it stopped early" in capsys.readouterr().err


# --- fields and the reference -----------------------------------------------------------------------------


def test_fields__json_has_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    from lastack.model.fields import FIELDS

    assert run(["fields", "--format", "json"]) == 0
    assert [fact["name"] for fact in json.loads(capsys.readouterr().out)] == [field.name for field in FIELDS]


def test_reference__is_not_stale() -> None:
    for name, text in docs.pages().items():
        path = docs.FOLDER / name
        assert path.read_text(encoding="utf-8") == text, f"{name}: run `python -m lastack.cli.docs --write`"


# --- captures ---------------------------------------------------------------------------------------------


@pytest.mark.skipif(not SAMPLE.exists(), reason="the sample capture is not there")
def test_capture__dataset_and_capture_answer_the_same(tmp_path: Path) -> None:
    assert run(["analyze", str(SAMPLE), "-o", str(tmp_path / "data")]) == 0
    for source in (str(SAMPLE), str(tmp_path / "data")):
        out = str(tmp_path / f"{Path(source).name}.jsonl")
        assert (
            run(
                [
                    "sessions",
                    source,
                    "-f",
                    "rst.count > 0 or half_closed > 1s",
                    "--sort",
                    "session_id",
                    "-o",
                    out,
                ]
            )
            == 0
        )
    assert (tmp_path / f"{SAMPLE.name}.jsonl").read_bytes() == (tmp_path / "data.jsonl").read_bytes()


@pytest.mark.skipif(not SAMPLE.exists(), reason="the sample capture is not there")
def test_capture__standard_input(tmp_path: Path) -> None:
    with SAMPLE.open("rb") as stream:
        done = lastack("sessions", "-", "--format", "csv", "--limit", "3", stdin=stream, check=True)
    assert len(done.stdout.splitlines()) == 4


@pytest.mark.skipif(not SAMPLE.exists(), reason="the sample capture is not there")
def test_capture__info_names_the_link_type(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["info", str(SAMPLE)]) == 0
    assert "EN10MB (1)" in capsys.readouterr().out
