"""Kernels that came with the package: used only for the sources, the machine and the processor that they are for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from lastack.kernels import bundle, cache, provenance
from lastack.kernels.bundle import Stored

KERNELS = [Stored(b"\x7fELF\n\n{}", "b-1", "int64"), Stored(b"", "a-2", "none")]
RIGHT: dict[str, Any] = {
    "flags": sorted(provenance.flags())[:2],
    "groups": [cache.TRACKING],
    "platform": bundle.platform_name(),
    "sources": provenance.sources(),
}


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the file that is taken for the shipped one."""
    for name in ("LASTACK_KERNELS", "NUMBA_BOUNDSCHECK", "NUMBA_DISABLE_JIT"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "some.kernels"
    monkeypatch.setattr(bundle, "SHIPPED", path)
    return path


def shipped() -> bundle.Bundle | None:
    bundle.shipped.cache_clear()
    cache.shipped.cache_clear()
    try:
        return cache.shipped()
    finally:
        bundle.shipped.cache_clear()
        cache.shipped.cache_clear()


def test_file__says_what_is_in_it() -> None:
    found = bundle.unpack(bundle.pack(KERNELS, RIGHT))
    assert found.about == RIGHT
    assert found.kernels == {kernel.symbol: kernel for kernel in KERNELS}


@pytest.mark.parametrize("data", [b"", b"{}\n", b"[]\n", b'{"kernels": [[1]]}\n', b"\x7fELF\n", b"\x80\n"])
def test_file__that_is_none_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        bundle.unpack(data)


def test_file__cut_anywhere_is_refused() -> None:
    whole = bundle.pack(KERNELS, RIGHT)
    for end in range(len(whole)):
        with pytest.raises(ValueError, match=r"."):
            bundle.unpack(whole[:end])


def test_shipped_kernels__are_used_where_all_is_right(path: Path) -> None:
    assert shipped() is None, "no file"
    path.write_bytes(bundle.pack(KERNELS, RIGHT))
    found = shipped()
    assert found is not None
    assert found.kernels["b-1"].code == KERNELS[0].code


@pytest.mark.parametrize(
    "other",
    [
        {"sources": "0123456789abcdef"},
        {"platform": "linux-pdp11"},
        {"flags": [*RIGHT["flags"], "avx10240"]},
    ],
    ids=["an edited source", "another machine", "an older processor"],
)
def test_shipped_kernels__are_left_alone_with(path: Path, other: dict[str, Any]) -> None:
    path.write_bytes(bundle.pack(KERNELS, {**RIGHT, **other}))
    assert shipped() is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LASTACK_KERNELS", "local"),
        ("LASTACK_KERNELS", "numba"),
        ("LASTACK_KERNELS", "compiling"),
        ("NUMBA_BOUNDSCHECK", "1"),
        ("NUMBA_DISABLE_JIT", "1"),
    ],
)
def test_shipped_kernels__can_be_left_out(
    path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    path.write_bytes(bundle.pack(KERNELS, RIGHT))
    monkeypatch.setenv(name, value)
    assert shipped() is None


def test_damaged_file__is_left_alone(path: Path) -> None:
    path.write_bytes(bundle.pack(KERNELS, RIGHT)[:-1])
    assert shipped() is None


def test_mark_that_storing_does_not_work_here__counts_with_shipped_kernels_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LASTACK_KERNELS", "LASTACK_NO_CACHE", "NUMBA_BOUNDSCHECK", "NUMBA_DISABLE_JIT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(cache, "shipped", lambda: bundle.Bundle({}, RIGHT))
    monkeypatch.setattr(cache, "folder", lambda: tmp_path)
    assert cache.mode.__wrapped__() == cache.STORED
    (tmp_path / cache.BROKEN).touch()
    assert cache.mode.__wrapped__() == cache.NUMBA


#: Calls one kernel, and says how it ran, whether anything was started, and where the cache is.
USE = """
import sys
from pathlib import Path
from lastack.kernels import bundle
if sys.argv[1]:
    bundle.SHIPPED = Path(sys.argv[1])
started = []
sys.addaudithook(lambda event, _: started.append(event) if event == "subprocess.Popen" else None)
import lastack.app, numpy as np
from lastack.app import prepare
from lastack.kernels import cache
from lastack.kernels.sharding import SHARDS, scatter
scatter(np.uint64(0), np.zeros(1, np.int64), 0, np.zeros(SHARDS, np.uint64), np.zeros(SHARDS, np.int64))
prepare.ensure(started.append)
print(cache.mode(), 'numba' in sys.modules, len(started), cache.usable() is not None)
"""


def use(shipped: Path | None, **settings: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", USE, str(shipped or "")],
        env={**os.environ, **settings},
        check=False,
        capture_output=True,
        text=True,
        timeout=170,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.skipif(cache.mode() != cache.STORED, reason="nothing is compiled for other processes")
def test_shipped_kernels__need_no_cache(tmp_path: Path) -> None:
    made, file = tmp_path / "made", tmp_path / "shipped.kernels"
    one = USE.replace("prepare.ensure(started.append)", "")
    subprocess.run(
        [sys.executable, "-c", one, ""],
        env={**os.environ, "LASTACK_CACHE": str(made), "LASTACK_KERNELS": cache.LOCAL},
        check=True,
    )
    (kept,) = made.glob("*/*.kernel")
    file.write_bytes(bundle.pack(bundle.unpack(kept.read_bytes()).kernels.values(), RIGHT))
    empty, nowhere = tmp_path / "empty", tmp_path / "file/below"
    (tmp_path / "file").touch()
    assert use(file, LASTACK_CACHE=str(empty)) == ["stored", "False", "0", "True"]
    assert not list(empty.glob("*/*")), "nothing was compiled"
    assert use(file, LASTACK_NO_CACHE="1") == ["stored", "False", "0", "False"]
    assert use(file, LASTACK_CACHE=str(nowhere)) == ["stored", "False", "0", "False"]
