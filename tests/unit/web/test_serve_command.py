"""`lastack serve` refuses what would let others in by accident, and says what to write."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from click.testing import CliRunner

from lastack.cli.main import run


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--listen", "0.0.0.0:0"], "--token"),
        (["--listen", "nonsense"], "HOST:PORT"),
        (["--listen", "::1:80"], "brackets"),
        (["--tls-cert", "a.pem"], "--tls-key"),
        (["--listen", "127.0.0.1:99999"], "HOST:PORT"),
    ],
)
def test_serve__refuses_with_a_remedy(
    dataset: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["serve", str(dataset), *words]) == 2
    assert said in capsys.readouterr().err


def test_serve__says_that_the_port_is_taken(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(["serve", str(dataset), "--listen", f"127.0.0.1:{port}"]) == 2
    assert "in use" in capsys.readouterr().err


def test_serve__of_no_dataset_is_unreadable_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", str(tmp_path)]) == 3
    assert "not a dataset" in capsys.readouterr().err


def test_serve__help_has_examples() -> None:
    from lastack.cli.serve import command

    assert "--token auto" in CliRunner().invoke(command, ["--help"]).output
