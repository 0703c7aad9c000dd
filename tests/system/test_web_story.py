"""The pages in headless Chromium: the founding story by clicking, links, mistakes, data that grows."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lastack.app.options import TrackOptions
from lastack.app.overview import Keep, survey_inputs
from lastack.store.manifest import read_manifest, write_manifest
from lastack.web.pages import PAGES
from lastack.web.warm import ADDRESSES

pytestmark = [pytest.mark.browser, pytest.mark.untimed]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "samples/closes.pcapng"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WAIT_MS = 15_000


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("browser") / "closes"
    survey_inputs([str(SAMPLE)], keep=Keep(folder), options=TrackOptions(threads=1))
    return folder


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as running:
        found = running.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


class Tab:
    """A page that keeps what went wrong, and every request."""

    def __init__(self, browser: Any, base: str) -> None:
        self.base = base
        self.context = browser.new_context(viewport={"width": 1400, "height": 950})
        self.page = self.context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda told: self.errors.append(told.text) if told.type == "error" else None)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def open(self, path: str) -> Any:
        self.page.goto(self.base + path)
        self.page.wait_for_selector("html[data-ready]", state="attached")
        return self.page


@pytest.fixture
def tab(browser: Any, server: str) -> Iterator[Tab]:
    found = Tab(browser, server)
    yield found
    found.context.close()
    assert all(url.startswith((server, "data:", "blob:")) for url in found.requests), (
        "a request left loopback"
    )
    assert found.errors == []


def test_story__from_the_overview_to_the_ladder_by_clicking(tab: Tab) -> None:
    page = tab.open("/")
    assert page.locator("#cards .card").first.locator("b").inner_text() == "218"
    # who is resetting my connections? The servers, ranked by what took harm:
    page.select_option("#topsort", "harmed")
    page.wait_for_url("**sort=harmed**")
    page.wait_for_selector("html[data-ready='2']", state="attached")
    page.locator("#top button.cellbtn", has_text="192.0.2.10:443").click()
    page.locator("#menu button", has_text="Its resets").click()
    page.wait_for_url("**/resets?**")
    page.wait_for_selector("#matrix table")
    # after one FIN, by the server: twelve that lost data
    cell = page.locator("#matrix tr", has_text="after one FIN").locator("td").nth(2).locator("button")
    assert cell.inner_text() == "12"
    cell.click()
    page.locator("#menu button", has_text="Its sessions").click()
    page.wait_for_url("**/sessions?**")
    page.wait_for_selector(".vrow [role=cell]")
    assert page.locator("#total").inner_text() == "12 sessions"
    page.locator(".vrow").first.click(position={"x": 60, "y": 12})
    page.wait_for_url("**/session/**")
    page.wait_for_selector("svg.ladder")
    assert "which had closed" in page.locator("#verdict .say").inner_text()
    proofs = page.locator("#verdict ul.proofs a").all_inner_texts()
    for number in (text.removeprefix("● ").replace(",", "") for text in proofs):
        assert page.locator(f'g[data-packet="{number}"] rect.proofbg').count() == 1
    assert page.locator("svg.ladder tspan.flag", has_text="RST").count() >= 1
    with page.expect_download() as waiting:
        page.locator("#download").click()
    data = Path(waiting.value.path()).read_bytes()
    assert data[:4] == b"\x0a\x0d\x0d\x0a"


@pytest.mark.parametrize("view", [one for one in PAGES if one.listed], ids=lambda one: one.name)
def test_view__opens_by_its_link_with_filter_and_time(tab: Tab, view: Any) -> None:
    page = tab.open(f"{view.path}?f=server.port+%3D+443&from=2026-11-21T03:01:00Z")
    assert page.locator("#problem").is_hidden()
    assert page.locator("#filter").input_value() == "server.port = 443"
    assert page.locator("nav a[aria-current]").inner_text() == view.title
    for link in page.locator("nav a").all():
        assert "f=server.port" in link.get_attribute("href")
        assert "from=2026" in link.get_attribute("href")


def test_overview__asks_what_the_server_prepares(tab: Tab) -> None:
    tab.open("/")
    tab.page.wait_for_load_state("networkidle")
    asked = {parse_params(url) for url in tab.requests if "/api/v1/" in url}
    prepared = {parse_params(f"/api/v1{address}") for address in ADDRESSES}
    assert prepared <= asked
    assert {path for path, _ in asked - prepared} <= {"/api/v1/status", "/api/v1/vocabulary"}


def parse_params(url: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    parts = urllib.parse.urlsplit(url)
    return parts.path, tuple(sorted(urllib.parse.parse_qsl(parts.query)))


def test_session__without_its_start_in_the_link_opens_too(tab: Tab, server: str) -> None:
    with urllib.request.urlopen(f"{server}/api/v1/sessions?limit=1&columns=session_id") as answer:
        number = re.search(r'"session_id":"(\d+)"', answer.read().decode())
    assert number is not None
    page = tab.open(f"/session/{number[1]}")
    assert page.locator("#verdict .say").inner_text()


def test_filter__mistake_is_underlined_and_mended(tab: Tab) -> None:
    page = tab.open("/sessions")
    page.keyboard.press("/")
    page.keyboard.type("rst.cont > 0")
    page.keyboard.press("Escape")
    page.locator("#filterbar button[type=submit]").click()
    page.wait_for_selector("#filtererror:not([hidden])")
    assert "did you mean rst.count" in page.locator("#filtererror").inner_text()
    assert page.locator("#filtererror mark").inner_text().startswith("rst.cont")
    page.fill("#filter", "rst.count > 0")
    page.locator("#filter").press("Enter")
    page.wait_for_selector("#filtererror", state="hidden")
    assert page.locator("#total").inner_text() == "68 sessions"
    # the browser notes the answer 400 by itself; nothing else may be in its console
    assert all("400" in error for error in tab.errors)
    tab.errors.clear()


def test_chart__brush_becomes_a_time_in_the_address(tab: Tab) -> None:
    page = tab.open("/")
    box = page.locator("#chart .u-over").bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 60)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.6, box["y"] + 80, steps=5)
    page.mouse.up()
    page.wait_for_url("**from=2026**to=2026**")
    page.wait_for_selector("html[data-ready='2']", state="attached")
    shown = int(page.locator("#cards .card").first.locator("b").inner_text())
    assert 0 < shown < 218
    page.go_back()
    page.wait_for_selector("html[data-ready='3']", state="attached")
    assert page.locator("#cards .card").first.locator("b").inner_text() == "218"


def test_keys__lead_to_views_and_rows(tab: Tab) -> None:
    page = tab.open("/")
    page.keyboard.press("g")
    page.keyboard.press("s")
    page.wait_for_url("**/sessions")
    page.wait_for_selector(".vrow [role=cell]")
    page.locator("#rows").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/session/**")
    page.wait_for_selector("svg.ladder")


def test_whatif__slider_changes_the_answer(tab: Tab) -> None:
    page = tab.open("/whatif?timer=tcp_half_closed&set=tcp_half_closed%3D1s")
    assert page.locator("#says b").inner_text() != "0"
    broken = page.locator("#list tbody tr").count()
    assert broken > 0
    slider = page.locator('input[aria-label="tcp half closed"]')
    slider.evaluate("(input) => { input.value = 1000; input.dispatchEvent(new Event('change')); }")
    page.wait_for_selector("html[data-ready='2']", state="attached")
    assert page.locator("#says b").inner_text() == "0"


def test_live__page_follows_a_dataset_that_grows(browser: Any, dataset: Path, tmp_path: Path) -> None:
    live = tmp_path / "live"
    shutil.copytree(dataset, live)
    manifest = read_manifest(live)
    write_manifest(live, type(manifest)("growing", (), ()))
    command = [sys.executable, "-m", "lastack.cli.main", "serve", str(live), "--listen", "127.0.0.1:0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        match = re.search(r"http://127\.0\.0\.1:\d+", process.stderr.readline())
        assert match is not None
        tab = Tab(browser, match.group())
        page = tab.open("/")
        assert page.locator("#cards .card").first.locator("b").inner_text() == "0"
        write_manifest(live, type(manifest)("growing", manifest.segments, ()))
        page.locator("#cards .card b", has_text="218").first.wait_for()
        assert tab.errors == []
        tab.context.close()
    finally:
        process.terminate()
        process.communicate(timeout=20)
