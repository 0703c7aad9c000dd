"""Schemathesis asks a running server whatever its own description allows, and what it forbids: no answer is a 5xx.

The whole set of its checks: besides server errors, undocumented statuses and media types, wrong data that is taken,
methods that are not there. `positive_data_acceptance` is left out: a text that a schema allows may be no filter.
"""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from lastack.web.api import ENDPOINTS

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("schemathesis") is None, reason="schemathesis is not installed"
)
_SECONDS = "15"


@pytest.fixture
def server(dataset: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "lastack.cli.main", "serve", str(dataset), "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        match = re.search(r"http://127\.0\.0\.1:\d+", process.stderr.readline())
        assert match is not None
        yield match.group()
    finally:
        process.terminate()
        process.communicate(timeout=20)


def test_schemathesis__finds_no_server_error_and_nothing_undocumented(server: str, tmp_path: Path) -> None:
    with urllib.request.urlopen(f"{server}/api/v1/sessions?limit=1&columns=session_id") as answer:
        number = re.search(r'"session_id":"(\d+)"', answer.read().decode())
    assert number is not None
    # Most made-up ids are no session: half of the requests get one that is.
    config = f'[parameters]\n"path.id" = "{number[1]}"\n'
    (tmp_path / "schemathesis.toml").write_text(config, encoding="utf-8")
    words = [sys.executable, "-m", "schemathesis.cli", "run", f"{server}/api/v1/openapi.json"]
    words += ["--checks", "all", "--exclude-checks", "positive_data_acceptance", "--max-time", _SECONDS]
    words += ["--seed", "1", "--generation-database", "none", "--continue-on-failure", "--no-color"]
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path, env=_plain()
    )
    assert done.returncode == 0, done.stdout + done.stderr
    tested = re.search(r"Tested: (\d+)", done.stdout)
    assert tested is not None, done.stdout
    assert int(tested[1]) == len(ENDPOINTS)


def _plain() -> dict[str, str]:
    """Return the environment without what asks a tool to use a proxy: all of this is on loopback."""
    return {key: value for key, value in os.environ.items() if not key.casefold().endswith("_proxy")}
