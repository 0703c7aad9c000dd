"""What was taken from elsewhere is as it was, and has its licence."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

import lastack.web
from lastack.web.pages import PAGES

WEB = Path(lastack.web.__file__).parent
#: uPlot 1.6.32, the files of its npm package.
SUMS = {
    "uPlot.esm.js": "5dd9b3281aa64b461b42d9945f6adb2649d346502b12281a9ae0d46599a80eba",
    "uPlot.min.css": "df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    "uPlot.LICENSE": "8f989229699b4fe2f1a0432d0e9edc338a8a911e250e2d1b01ecd770a5f5b1bd",
}


def test_vendored_files__are_unchanged() -> None:
    found = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (WEB / "static/vendor").iterdir()
    }
    assert found == SUMS
    assert "MIT" in (WEB / "static/vendor/uPlot.LICENSE").read_text()


@pytest.mark.parametrize("path", sorted((WEB / "templates").iterdir()), ids=lambda path: path.name)
def test_page__needs_no_other_host_and_no_inline_script(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"https?://", text)
    assert not re.search(r'<script(?![^>]*(?:src=|type="application/json"))', text)
    assert not re.search(r'\sstyle="|\son\w+="', text), "the policy forbids it"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_page__has_template_script_and_a_key_of_its_own(page: object) -> None:
    name = page.name  # type: ignore[attr-defined]
    assert (WEB / f"templates/{name}.html.j2").is_file()
    assert (WEB / f"static/pages/{name}.js").is_file()
    keys = [one.key for one in PAGES if one.key]
    assert len(keys) == len(set(keys))
