"""Compiling kernels for the package: for processors of a level, once, or not at all where it cannot be done."""

from __future__ import annotations

from pathlib import Path

import pytest

from lastack.app import ship
from lastack.kernels import bundle, provenance

ONE = bundle.Stored(b"code", "some", "none")


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> list[ship.Level]:
    """Return what was compiled for; nothing is in truth."""
    done: list[ship.Level] = []

    def compile_for(level: ship.Level, groups: tuple[str, ...]) -> list[bundle.Stored]:
        done.append(level)
        return [ONE]

    monkeypatch.setattr(ship, "_compile", compile_for)
    monkeypatch.setattr(bundle, "platform_name", lambda: "linux-x86_64")
    return done


def test_kernels__are_compiled_once_for_the_same_sources_and_compiler(
    tmp_path: Path, compiled: list[ship.Level], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "shipped.kernels"
    assert ship.ship(path=path)
    assert ship.ship(path=path)
    assert ship.ship("editable", path), "it has all of that and more"
    assert [level.processor for level in compiled] == ["x86-64-v3"]
    assert bundle.unpack(path.read_bytes()).kernels == {"some": ONE}
    monkeypatch.setattr(provenance, "sources", lambda: "others")
    assert ship.ship(path=path)
    path.write_bytes(path.read_bytes()[:-1])
    assert ship.ship(path=path)
    assert len(compiled) == 3
    assert [file.name for file in tmp_path.iterdir()] == ["shipped.kernels"]


def test_wheel__has_more_than_an_editable_install(tmp_path: Path, compiled: list[ship.Level]) -> None:
    path = tmp_path / "shipped.kernels"
    assert ship.ship("editable", path)
    few = set(bundle.unpack(path.read_bytes()).about["groups"])
    assert ship.ship("standard", path)
    assert few < set(bundle.unpack(path.read_bytes()).about["groups"])
    assert len(compiled) == 2


def test_machine__whose_processors_have_no_level_gets_none(
    tmp_path: Path,
    compiled: list[ship.Level],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(bundle, "platform_name", lambda: "linux-pdp11")
    assert not ship.ship(path=tmp_path / "shipped.kernels")
    assert not compiled
    assert "linux-pdp11, so no machine code is shipped: the first run compiles" in capsys.readouterr().err


def test_compiler__that_is_missing_or_fails_gives_none(
    tmp_path: Path,
    compiled: list[ship.Level],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "shipped.kernels"
    monkeypatch.setattr(ship, "_compile", lambda level, groups: [])
    assert not ship.ship(path=path)

    def none() -> list[str]:
        raise ModuleNotFoundError("No package metadata was found for numba")

    monkeypatch.setattr(provenance, "compiler", none)
    assert not ship.ship(path=path)
    said = capsys.readouterr().err
    assert "could not be compiled, so" in said
    assert "for numba, so" in said
    assert not path.exists()
