"""Each command block of the pages runs against the shipped sample and prints what the page says."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.docs import blocks


@pytest.mark.parametrize("page", blocks.PAGES, ids=lambda page: page.relative_to(blocks.ROOT).as_posix())
def test_page__shows_what_its_commands_print(page: Path) -> None:
    _, differences = blocks.run_page(page)
    assert not differences, "python -m tests.docs.blocks --write puts it right:\n" + "\n".join(differences)


def test_matches__takes_an_ellipsis_for_any_lines() -> None:
    assert blocks.matches(["one", "…", "four"], ["one", "two", "three", "four"])
    assert blocks.matches(["one", "…"], ["one", "two  "])
    assert not blocks.matches(["one", "four"], ["one", "two", "four"])


def test_shown__keeps_as_many_lines_as_the_page_had() -> None:
    assert blocks.shown(["a", "…", "z"], ["1", "2", "3", "4"]) == ["1", "…", "4"]
    assert blocks.shown(["a"], ["1", "2"]) == ["1", "2"]


def test_console__joins_continued_lines() -> None:
    found = list(blocks.examples_of_console("$ a \\\n>   b\nout\n$ c\n", 10))
    assert [(example.source, example.expected, example.line) for example in found] == [
        ("a \\\n  b", ["out"], 10),
        ("c", [], 13),
    ]
