"""The labs that run, as their folders tell."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lastack.lab import registry
from lastack.lab.registry import Running
from lastack.model.errors import UsageError


@pytest.fixture(autouse=True)
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(registry, "home", lambda: tmp_path)
    return tmp_path


def a_lab(name: str, pid: int = 0) -> Running:
    pid = pid or os.getpid()
    return Running(name, "direct", pid, registry.process_start(pid), 1, {"client": 3}, {"client": {}})


def test_claim__a_name_is_given_once_while_its_lab_runs() -> None:
    registry.write(registry.claim("one"), a_lab("one"))
    with pytest.raises(UsageError, match="runs already"):
        registry.claim("one")


def test_claim__the_name_of_a_dead_lab_is_free() -> None:
    registry.write(registry.claim("one"), a_lab("one", pid=2**22))
    assert registry.labs() == []
    registry.claim("one")


@pytest.mark.parametrize("name", ["", "../x", ".hidden", "a b", "a/b"])
def test_claim__a_name_is_no_path(name: str) -> None:
    with pytest.raises(UsageError, match="no name for a lab"):
        registry.claim(name)


def test_find__needs_a_name_only_among_several() -> None:
    registry.write(registry.claim("one"), a_lab("one"))
    assert registry.find().name == "one"
    registry.write(registry.claim("two"), a_lab("two"))
    assert registry.find("two").name == "two"
    with pytest.raises(UsageError, match="name one: one, two"):
        registry.find()
    with pytest.raises(UsageError, match="no lab 'three' runs"):
        registry.find("three")


def test_path__of_a_host_that_is_not_there_is_refused() -> None:
    assert a_lab("one").path("client") == f"/proc/{os.getpid()}/fd/3"
    with pytest.raises(UsageError, match="has no host 'box'; it has client"):
        a_lab("one").path("box")


def test_stale__finds_dead_labs_and_leaves_running_ones() -> None:
    registry.write(registry.claim("alive"), a_lab("alive"))
    registry.write(registry.claim("dead"), a_lab("dead", pid=2**22))
    assert [found.name for found in registry.stale()] == ["dead"]


def test_leftovers__are_known_by_the_mark_in_their_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    import subprocess

    registry.write(registry.claim("dead"), a_lab("dead", pid=2**22))
    with subprocess.Popen(
        ["cat"], stdin=subprocess.PIPE, env={"LASTACK_LAB": "dead", "PATH": "/bin"}
    ) as left:
        found = registry.leftovers()
        left.communicate()
    assert found == [(registry.home() / "dead", [left.pid])]


def test_read__a_broken_folder_is_no_lab(folder: Path) -> None:
    (folder / "odd").mkdir()
    (folder / "odd" / "lab.json").write_text("{")
    assert registry.read(folder / "odd") is None
    assert registry.labs() == []
