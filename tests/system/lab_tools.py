"""What the tests of the lab share: when they can run, and the program under test."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

import pytest

from lastack.lab import missing

needs_lab = pytest.mark.skipif(missing() != "", reason=missing())
LASTACK = (sys.executable, "-m", "lastack.cli.main")


def lastack(*words: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    """Run the program and return what came of it."""
    return subprocess.run(
        [*LASTACK, *words],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        stdin=subprocess.DEVNULL,
    )


def start(words: Sequence[str]) -> subprocess.Popen[str]:
    """Start the program in a process group of its own, with a pipe for what it prints."""
    return subprocess.Popen(
        [*LASTACK, *words], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
        text=True, start_new_session=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
