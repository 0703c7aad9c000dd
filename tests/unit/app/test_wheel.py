"""A wheel brings its machine code along: the first run of what it installs compiles nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from lastack.app.ship import LEVELS
from lastack.kernels import bundle, cache, provenance

ROOT = Path(__file__).resolve().parents[3]
_LEVEL = LEVELS.get(bundle.platform_name())
pytestmark = [
    pytest.mark.skipif(cache.mode() != cache.STORED, reason="nothing is compiled for other processes"),
    pytest.mark.skipif(
        _LEVEL is None or not provenance.flags().issuperset(_LEVEL.flags),
        reason="the package has no machine code for processors of this kind",
    ),
]

#: The first run ever, in a process that may start no other; says which package it was.
FIRST_RUN = """
import sys
def refuse(event, arguments):
    if event in ("subprocess.Popen", "os.fork", "os.posix_spawn"):
        raise AssertionError(f"{event}: {arguments}")
sys.addaudithook(refuse)
import lastack
from lastack.cli.main import run
print(lastack.__file__, flush=True)
sys.exit(run(sys.argv[1:]))
"""


def environment(**more: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("LASTACK_")} | more


def build(target: str, checkout: Path, folder: Path, **more: str) -> Path:
    """Return what hatchling makes of a checkout, as pip does without build isolation."""
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(folder)],
        cwd=checkout,
        env=environment(**more),
        check=False,
        capture_output=True,
        text=True,
        timeout=170,
    )
    assert done.returncode == 0, done.stderr
    (made,) = folder.iterdir()
    return made


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a copy of the project; what an earlier build of a wheel has compiled comes along."""
    copy = tmp_path / "checkout"
    shutil.copytree(ROOT / "src", copy / "src", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, copy / name)
    return copy


def test_first_run__of_a_wheel_compiles_nothing(checkout: Path, tmp_path: Path) -> None:
    wheel = build("wheel", checkout, tmp_path / "out")
    assert wheel.name.endswith(f"-py3-none-{sysconfig.get_platform().replace('-', '_')}.whl")
    site, empty = tmp_path / "site", tmp_path / "cache"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (about,) = site.glob("*.dist-info/WHEEL")
    assert "Root-Is-Purelib: false" in about.read_text()
    for words in ("analyze", "sessions", "whatif --profile panos", "replay --profile panos"):
        done = subprocess.run(
            [sys.executable, "-c", FIRST_RUN, *words.split(), "closes.pcapng"],
            cwd=ROOT / "samples",
            env=environment(LASTACK_CACHE=str(empty), PYTHONPATH=str(site)),
            check=False,
            capture_output=True,
            text=True,
            timeout=170,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(str(site))
        assert "Preparing" not in done.stderr
    assert not list(empty.rglob("*.kernel"))


def test_source_distribution__has_no_machine_code(checkout: Path, tmp_path: Path) -> None:
    import tarfile

    (checkout / "src/lastack/kernels/shipped.kernels").write_bytes(b"stale")
    with tarfile.open(build("sdist", checkout, tmp_path / "out")) as archive:
        names = [name.split("/", 1)[1] for name in archive.getnames()]
    assert "hatch_build.py" in names
    assert "src/lastack/kernels/cache.py" in names
    assert not [name for name in names if name.endswith(".kernels")]


def test_wheel__is_built_without_machine_code_where_nothing_compiles(checkout: Path, tmp_path: Path) -> None:
    (checkout / "src/lastack/kernels/shipped.kernels").write_bytes(b"stale")
    hook = checkout / "hatch_build.py"
    hook.write_text(hook.read_text().replace("lastack.app.ship", "lastack.app.no_such_module"))
    wheel = build("wheel", checkout, tmp_path / "out")
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert not [name for name in archive.namelist() if name.endswith(".kernels")]
