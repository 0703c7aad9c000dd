"""Old kernels go when they are not used, and never from under a process that uses them."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lastack.app.old_kernels import UNUSED_S, remove_unused
from lastack.kernels import cache

NAMES = [f"kernels-{number:016x}" for number in range(4)]
MINE = NAMES[0]


def aged(path: Path, seconds: float) -> Path:
    path.mkdir(exist_ok=True)
    (path / "some.kernel").write_bytes(b"code")
    os.utime(path, (time.time() - seconds,) * 2)
    return path


@pytest.fixture
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.delenv("LASTACK_NO_CACHE", raising=False)
    monkeypatch.setattr(cache, "folder", lambda: tmp_path / MINE)
    cache.usable.cache_clear()
    yield tmp_path
    cache.usable.cache_clear()


def test_folder__goes_a_month_after_its_last_use(caches: Path) -> None:
    old, young = aged(caches / NAMES[1], UNUSED_S + 100), aged(caches / NAMES[2], UNUSED_S - 100)
    aged(caches / MINE, UNUSED_S + 100)  # it is used now
    others = [aged(caches / name, UNUSED_S + 100) for name in ("kernels-notes", "datasets", f"my-{NAMES[3]}")]
    (caches / NAMES[3]).symlink_to(others[0])
    assert remove_unused() == [old.name]
    assert not old.exists()
    assert all((path / "some.kernel").exists() for path in (young, caches / MINE, *others, caches / NAMES[3]))
    assert remove_unused() == []


def test_use__makes_a_folder_young_again(caches: Path) -> None:
    mine = aged(caches / MINE, UNUSED_S + 100)
    assert cache.usable() == mine
    assert time.time() - mine.stat().st_mtime < 100


def test_folder__stays_while_a_process_uses_it(caches: Path) -> None:
    used = aged(caches / NAMES[1], UNUSED_S + 100)
    script = (
        "import sys; from pathlib import Path; from lastack.kernels import cache;"
        "cache.folder = lambda: Path(sys.argv[1]); assert cache.usable();"
        "print('uses it', flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", script, str(used)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == b"uses it\n"
        os.utime(used, (0, 0))  # for longer than a month
        assert remove_unused() == []
        process.stdin.close()
    assert remove_unused() == [used.name]


def test_process__that_comes_while_its_folder_goes_makes_a_new_one(
    caches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    aged(caches / MINE, UNUSED_S + 100)
    lock: Callable[[int, int], None] = fcntl.flock

    def late(handle: int, how: int) -> None:
        monkeypatch.setattr(fcntl, "flock", lock)
        (caches / MINE).rename(caches / f"gone-{MINE}-1")
        lock(handle, how)

    monkeypatch.setattr(fcntl, "flock", late)
    assert cache.usable() == caches / MINE
    assert list((caches / MINE).iterdir()) == []
    assert remove_unused() == []
    assert not (caches / f"gone-{MINE}-1").exists(), "what another left half removed goes too"


def test_folder__that_went_before_it_could_be_opened_is_made_again(
    caches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = os.open

    def late(path: Path, flags: int) -> int:
        monkeypatch.setattr(os, "open", opened)
        (caches / MINE).rmdir()
        return opened(path, flags)

    monkeypatch.setattr(os, "open", late)
    assert cache.usable() == caches / MINE
    assert (caches / MINE).is_dir()


def test_new_kernels__are_what_lets_old_ones_go(caches: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from lastack.app import prepare

    old = aged(caches / NAMES[1], UNUSED_S + 100)
    monkeypatch.setattr(cache, "mode", lambda: cache.STORED)
    monkeypatch.setattr(cache, "shipped", lambda: None)
    monkeypatch.setattr(prepare, "_compile", lambda steps, notice: True)
    (caches / MINE).mkdir()
    (caches / MINE / cache.TRACKING).touch()
    prepare.ensure()
    assert old.exists(), "nothing was made"
    prepare.ensure_replay()
    assert not old.exists()
