"""Preparing kernels: child processes take steps from one list, and one that dies is noticed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lastack.app import prepare
from lastack.kernels import cache

CHILD = """
import sys
for name in sys.stdin:
    if name == "bad\\n":
        break
    with open(sys.argv[1], "a") as done:
        done.write(name)
    sys.stdout.write(".")
    sys.stdout.flush()
"""


@pytest.fixture
def done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file to which children write the steps that they did."""
    path = tmp_path / "done"
    command = [sys.executable, "-c", CHILD, str(path)]
    pipe = subprocess.PIPE
    monkeypatch.setattr(
        prepare, "_child", lambda: subprocess.Popen(command, bufsize=0, stdin=pipe, stdout=pipe)
    )
    return path


@pytest.mark.parametrize("processors", [1, 2, 64])
def test_steps__are_each_done_once_on_any_number_of_processors(
    done: Path, monkeypatch: pytest.MonkeyPatch, processors: int
) -> None:
    monkeypatch.setattr(prepare, "_processors", lambda: processors)
    said: list[str] = []
    steps = tuple("abcdefg")
    assert prepare._compile(steps, said.append)
    assert sorted(done.read_text().split()) == list(steps)
    assert len(said) == 1


def test_child_that_dies__fails_the_rest(done: Path) -> None:
    assert not prepare._compile(("a", "bad", "c"), None)


def test_child_that_cannot_start__fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> object:
        raise OSError("no more processes")

    monkeypatch.setattr(prepare, "_child", none)
    assert not prepare._compile(("a",), None)


@pytest.mark.skipif(cache.mode() != cache.INTERPRETED, reason="children do it where kernels are compiled")
@pytest.mark.parametrize("name", prepare._STEPS)
def test_step__runs_as_python_too(name: str) -> None:
    prepare._STEPS[name]()
