"""The page that tells the founding story: its first command, ten times as fast, does what the page says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.system.lab_tools import needs_lab

import lastack

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorial-half-close.md"


def _told() -> str:
    block = re.search(
        r"<!-- played-by: tests/system/test_lab_story.py -->\n```sh\n(.*?)```", PAGE.read_text(), re.DOTALL
    )
    assert block is not None
    return block[1]


@pytest.mark.system
@needs_lab
def test_page__half_closed_flows_stop_at_the_timer_and_the_others_do_not(tmp_path: Path) -> None:
    command = _told()
    for slow, fast in (
        ("--half-closed-life 10s", "--half-closed-life 1s"),
        ("2MB", "200kB"),
        ("--stall 3s", "--stall 1s"),
    ):
        assert slow in command
        command = command.replace(slow, fast)
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "COLUMNS": "100",
    }
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    text = " ".join(done.stdout.split())
    assert "half-close: 3 flows, 3 stopped; the last byte came 9" in text, done.stdout
    assert "when-finished: 3 flows, 3 done; all 600 kB arrived" in text, done.stdout

    flows = lastack.track(tmp_path / "story.pcapng").table.to_pylist()
    big = [row for row in flows if row["bytes_srv"] > 50_000]
    assert sorted(row["ending"] for row in big) == ["closed"] * 3 + ["fin_rst"] * 3
    for row in big:
        if row["ending"] == "fin_rst":
            assert row["half_closed_by"] == "client"
            assert row["unacked_bytes_srv"] > 0
