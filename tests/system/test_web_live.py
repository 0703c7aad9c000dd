"""A watch that writes, a server that reads the same folder, and a browser that follows: all three at once, for real."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.system.lab_tools import needs_lab
from tests.system.test_watch import Watching, play
from tests.system.test_web_story import Tab, browser

from lastack.lab.topology import Lab

__all__ = ["browser"]
pytestmark = [pytest.mark.system, pytest.mark.browser, pytest.mark.untimed, needs_lab]


@pytest.fixture
def lab() -> Iterator[Lab]:
    with Lab("direct") as made:
        yield made


def test_overview__follows_a_watch_while_it_writes_and_stops(
    lab: Lab, tmp_path: Path, browser: object
) -> None:
    watching = Watching(lab.server, tmp_path / "live")
    command = [
        sys.executable,
        "-m",
        "lastack.cli.main",
        "serve",
        str(tmp_path / "live"),
        "--listen",
        "127.0.0.1:0",
    ]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        match = re.search(r"http://127\.0\.0\.1:\d+", server.stderr.readline())
        assert match is not None
        tab = Tab(browser, match.group())
        page = tab.open("/")
        first = page.locator("#cards .card").first.locator("b")
        assert first.inner_text() == "0"
        assert page.locator("#live").get_attribute("aria-pressed") == "true"
        page.evaluate("() => { window.stays = true; }")
        count = 0
        for number in range(2):
            count += play(lab, 2, 20_000 + 1_000 * number)
            watching.has_rows(count)
            page.locator("#cards .card b", has_text=re.compile(f"^{count}$")).first.wait_for()
        # what it shows is right, and it is the same page: nothing was loaded anew
        assert page.locator("#endings tr", has_text="rst").locator("td").nth(1).inner_text() == str(
            count // 5
        )
        assert page.evaluate("() => window.stays") is True
        page.locator("#live").click()
        seen = count
        count += play(lab, 1, 30_000)
        watching.has_rows(count)
        page.locator("#status", has_text=f"{count} sessions").wait_for()
        assert first.inner_text() == str(seen), "a page that does not follow was changed"
        page.locator("#live").click()
        page.locator("#cards .card b", has_text=re.compile(f"^{count}$")).first.wait_for()
        assert watching.stop() == 0
        page.locator("#live").wait_for(state="hidden")
        assert tab.errors == []
        tab.context.close()
    finally:
        server.send_signal(signal.SIGTERM)
        server.communicate(timeout=20)
