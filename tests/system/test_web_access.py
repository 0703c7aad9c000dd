"""Everybody can use the pages: controls have names, colours contrast in light and dark, keys alone will do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.system.test_web_story import Tab, browser, dataset, server

from lastack.web.pages import PAGES

__all__ = ["browser", "dataset", "server"]
pytestmark = [pytest.mark.browser, pytest.mark.untimed]
WHAT_BREAKS = "set=tcp_half_closed%3D1s&timer=tcp_half_closed"

LOOK = (Path(__file__).parent / "look.js").read_text(encoding="utf-8")


@pytest.fixture(params=["light", "dark"])
def tab(browser: Any, server: str, request: pytest.FixtureRequest) -> Iterator[Tab]:
    found = Tab(browser, server)
    found.page.emulate_media(color_scheme=request.param)
    yield found
    found.context.close()


def test_views__have_contrast_names_and_order_in_light_and_dark(tab: Tab) -> None:
    wrong: dict[str, list[str]] = {}
    for view in PAGES:
        if view.listed:
            page = tab.open(f"{view.path}?{WHAT_BREAKS}" if view.name == "whatif" else view.path)
            wrong[view.name] = page.evaluate(LOOK)
    page = tab.open("/sessions?f=cause+%3D+data_after_close")
    page.locator(".vrow").first.click(position={"x": 60, "y": 12})
    page.wait_for_selector("html[data-ladder]", state="attached")
    wrong["session"] = page.evaluate(LOOK)
    page.goto(f"{tab.base}/sessions?f=rst.cont+%3E+0")
    page.wait_for_selector("#filtererror:not([hidden])")
    wrong["a mistake"] = page.evaluate(LOOK)
    assert {name: found for name, found in wrong.items() if found} == {}


def test_look__finds_what_is_wrong(browser: Any) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.set_content(
        '<body style="background:#fff"><p style="color:#999">pale</p><h1>a</h1><main><h3>b</h3></main>'
        '<button></button><canvas></canvas><i id="x"></i><i id="x"></i><input aria-controls="y" title="t">'
    )
    found = " ".join(page.evaluate(LOOK))
    for word in ("contrast 2.8", "no name", "without words", "twice: #x", "points nowhere: y", "left out: b"):
        assert word in found, word
    context.close()


def test_keyboard__alone_reaches_every_control_with_a_visible_focus(browser: Any, server: str) -> None:
    tab = Tab(browser, server)
    page = tab.open("/")
    seen: list[str] = []
    for _ in range(40):
        page.keyboard.press("Tab")
        found = page.evaluate(
            "() => { const one = document.activeElement; return [one.id || one.className || one.textContent.trim(),"
            " getComputedStyle(one).outlineStyle !== 'none' || one.id === 'filter' || one.matches('.skip')]; }"
        )
        assert found[1], f"no focus to be seen: {found[0]}"
        seen.append(found[0])
    assert seen[0] == "skip"
    for name in ("filter", "saved", "range", "theme"):
        assert name in seen
    page.locator("#saved").focus()
    page.keyboard.press("Enter")
    assert page.locator("#menu").is_visible()
    assert page.evaluate("() => document.getElementById('menu').contains(document.activeElement)")
    page.keyboard.press("Escape")
    assert page.locator("#menu").is_hidden()
    assert page.evaluate("() => document.activeElement.id") == "saved"
    tab.context.close()
