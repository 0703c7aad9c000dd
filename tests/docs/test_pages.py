"""The pages lead somewhere, and nothing that a user can name is missing from them."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from tests.docs.blocks import PAGES, ROOT

_LINK = re.compile(r"\]\((?P<target>[^)#\s]*)(?:#(?P<anchor>[^)\s]+))?\)")


def _without_code(text: str) -> str:
    return re.sub(r"^```.*?^```$|`[^`\n]*`", "", text, flags=re.MULTILINE | re.DOTALL)


def _anchors(page: Path) -> set[str]:
    """Return the anchors that a page's headings get on the usual hosts."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _id(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=_id)
def test_page__links_to_what_exists(page: Path) -> None:
    for link in _LINK.finditer(_without_code(page.read_text(encoding="utf-8"))):
        target, anchor = link["target"], link["anchor"]
        if "://" in target or target.startswith("mailto:"):
            continue
        there = (page.parent / target).resolve() if target else page
        assert there.exists(), f"{_id(page)}: {target} does not exist"
        if anchor and there.suffix == ".md":
            assert anchor in _anchors(there), f"{_id(page)}: {target}#{anchor}: no such heading"


@pytest.mark.parametrize("page", [p for p in PAGES if p.parent != ROOT and p.name != "index.md"], ids=_id)
def test_page__can_be_found_from_the_index(page: Path) -> None:
    index = (ROOT / "docs/index.md").read_text(encoding="utf-8")
    there = page.relative_to(ROOT / "docs").as_posix()
    assert f"({there})" in index, f"docs/index.md does not link to {there}"


def test_records__have_the_four_parts_and_fit_a_page() -> None:
    for record in sorted((ROOT / "docs/adr").glob("*.md")):
        text = record.read_text(encoding="utf-8")
        assert re.match(r"# \d+\. ", text), f"{_id(record)}: no numbered title"
        for part in ("**Status:**", "## Context", "## Decision", "## Consequences"):
            assert part in text, f"{_id(record)}: no {part}"
        assert text.count("\n") <= 66, f"{_id(record)} is over a page"


def test_changelog__tells_of_this_version() -> None:
    import lastack

    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(rf"^## \[(Unreleased|{re.escape(lastack.__version__)})\]", changelog, re.MULTILINE)


def test_version__is_said_once() -> None:
    import lastack

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project.get("version", lastack.__version__) == lastack.__version__


def test_commands__are_in_the_docs() -> None:
    from lastack.cli.main import COMMANDS

    pages = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    for name in COMMANDS:
        assert f"lastack {name}" in pages, f"no page tells of `lastack {name}`"


def test_formats__are_in_the_docs() -> None:
    from lastack.app.registries import EXPORTERS

    pages = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    for name in EXPORTERS:
        assert f"`{name}`" in pages or f"--format {name}" in pages, f"no page tells of --format {name}"


def test_python_names__are_in_the_docs() -> None:
    import lastack

    pages = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    for name in getattr(lastack, "__all__", []):
        assert name == "__version__" or f"lastack.{name}" in pages, f"no page tells of lastack.{name}"
