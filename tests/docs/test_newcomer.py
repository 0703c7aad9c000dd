"""What a person on a bare machine runs first: the two scripts and the lock."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def locked() -> dict[str, str]:
    """Return each locked package and the text that belongs to it."""
    parts = re.split(r"^(?=[A-Za-z0-9])", LOCK, flags=re.MULTILINE)[1:]
    return {canonical(part.split("==")[0]): part for part in parts}


def test_lock__has_a_hash_for_each_package() -> None:
    assert locked()
    assert not [name for name, part in locked().items() if "--hash=sha256:" not in part or "==" not in part]


def test_lock__names_no_place() -> None:
    assert "://" not in LOCK
    assert not re.search(r"^\s*--(index-url|extra-index-url|find-links)", LOCK, re.MULTILINE)


def test_lock__covers_what_the_project_asks_for() -> None:
    document = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = [
        name for group in document["project"].get("optional-dependencies", {}).values() for name in group
    ]
    asked = [*document["build-system"]["requires"], *document["project"]["dependencies"], *extras]
    asked += document["dependency-groups"]["dev"]
    names = {canonical(re.split(r"[^A-Za-z0-9._-]", requirement)[0]) for requirement in asked}
    assert names <= set(locked()), "make requirements.lock again, its first lines say how"


@pytest.mark.parametrize("script", ["try", "check", ".ci/run"])
def test_script__can_be_run(script: str) -> None:
    assert os.access(ROOT / script, os.X_OK)


def test_try__is_a_posix_script() -> None:
    shell = shutil.which("dash") or shutil.which("sh")
    assert shell
    subprocess.run([shell, "-n", str(ROOT / "try")], check=True)


@pytest.mark.parametrize("script", ["try", ".ci/run"])
def test_script__is_clean(script: str) -> None:
    shellcheck = shutil.which("shellcheck")
    if not shellcheck:
        pytest.skip("needs shellcheck: apt install shellcheck")
    subprocess.run([shellcheck, str(ROOT / script)], check=True)


@pytest.mark.parametrize("script", ["try", "check"])
def test_script__explains_itself(script: str) -> None:
    done = subprocess.run([str(ROOT / script), "--help"], capture_output=True, text=True, check=True)
    assert "usage:" in done.stdout.lower()
    assert "examples:" in done.stdout.lower()


def a_checkout(folder: Path) -> Path:
    """Return a copy of what `try` reads, so that no test touches the real environment."""
    for name in ("try", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    return folder / "try"


def a_python(folder: Path, body: str) -> str:
    """Return a PATH in which `python3` does what `body` says and nothing else of Python is found."""
    for tool in ("cat", "cksum", "cut", "dirname", "grep", "rm", "sed", "sh", "tail", "uname"):
        found = shutil.which(tool)
        assert found, tool
        (folder / tool).symlink_to(found)
    python = folder / "python3"
    python.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    python.chmod(0o755)
    return str(folder)


def run_try(script: Path, path: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(script), *arguments], env={"PATH": path}, capture_output=True, text=True, timeout=60, check=False
    )


def folders(base: Path) -> tuple[Path, Path]:
    (base / "checkout").mkdir()
    (base / "bin").mkdir()
    return base / "checkout", base / "bin"


def test_try__says_that_python_is_too_old(tmp_path: Path) -> None:
    checkout, tools = folders(tmp_path)
    old = a_python(tools, 'case $1 in --version) echo "Python 3.9.2";; *) exit 1;; esac')
    done = run_try(a_checkout(checkout), old)
    assert done.returncode == 1
    assert "LastACK needs Python 3.11 or newer; this machine has Python 3.9.2." in done.stderr
    assert "apt install python3 python3-venv" in done.stderr


def test_try__says_how_to_get_the_venv_module(tmp_path: Path) -> None:
    checkout, tools = folders(tmp_path)
    bare = a_python(tools, f'case $2 in *ensurepip*) exit 1;; esac; exec {sys.executable} "$@"')
    done = run_try(a_checkout(checkout), bare)
    assert done.returncode == 1
    assert "has no venv module" in done.stderr
    assert "apt install python3-venv" in done.stderr
    assert not (checkout / ".venv").exists()


def test_try__says_that_no_index_can_be_reached(tmp_path: Path) -> None:
    checkout, tools = folders(tmp_path)
    venv = checkout / ".venv/bin"
    venv.mkdir(parents=True)
    words = "WARNING: Retrying: NewConnectionError: Failed to establish a new connection"
    (venv / "python").write_text(
        f'#!/bin/sh\ncase "$*" in *" install "*) echo "{words}"; exit 1;; esac\n', encoding="utf-8"
    )
    (venv / "python").chmod(0o755)
    done = run_try(a_checkout(checkout), a_python(tools, f'exec {sys.executable} "$@"'))
    assert done.returncode == 1
    assert "no Python package index can be reached from here" in done.stderr
    assert "https_proxy=" in done.stderr
    assert not (checkout / ".venv/lastack-installed").exists()


def test_try__refuses_a_capture_that_is_not_there(tmp_path: Path) -> None:
    checkout, tools = folders(tmp_path)
    done = run_try(a_checkout(checkout), a_python(tools, "exit 1"), "missing.pcap")
    assert done.returncode == 1
    assert "missing.pcap: no such capture" in done.stderr


def test_try__is_quick_when_all_is_installed(tmp_path: Path) -> None:
    checkout, tools = folders(tmp_path)
    script = a_checkout(checkout)
    calls = checkout / "calls"
    venv = checkout / ".venv/bin"
    venv.mkdir(parents=True)
    (venv / "python").write_text(f'#!/bin/sh\necho "$*" >>{calls}\n', encoding="utf-8")
    (venv / "python").chmod(0o755)
    path = a_python(tools, "exit 1")
    assert run_try(script, path, "--prepare").returncode == 0
    assert calls.read_text().count(" install ") == 2
    calls.write_text("")
    assert run_try(script, path, "--prepare").returncode == 0
    assert " install " not in calls.read_text()
    (checkout / "requirements.lock").write_text("# changed\n")
    assert run_try(script, path, "--prepare").returncode == 0
    assert calls.read_text().count(" install ") == 2
