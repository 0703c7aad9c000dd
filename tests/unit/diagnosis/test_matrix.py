"""The rules reach their goals on captures and timelines with known causes, and blame nobody without reason."""

from __future__ import annotations

import pytest
from tests.matrix.cases import CAPTURES, cases
from tests.matrix.judge import Results, results
from tests.matrix.page import GOALS, PAGE, page


@pytest.fixture(scope="module")
def found() -> Results:
    return results()


def test_matrix__whole_cases_are_right(found: Results) -> None:
    wrong = [
        f"{one.version.case.name}: {one.cause}, not {one.right}"
        for one in found.said
        if one.version.kind == "whole" and one.right and one.outcome == "wrong"
    ]
    assert found.share("whole", "right") >= GOALS["whole"], "\n".join(wrong)


@pytest.mark.parametrize("kind", [kind for kind in GOALS if kind != "whole"])
def test_matrix__worse_versions_are_right_or_modest(found: Results, kind: str) -> None:
    assert found.share(kind, "right", "modest") >= GOALS[kind]


def test_matrix__nobody_is_blamed_for_what_he_did_not_do(found: Results) -> None:
    assert found.slanders() == []


def test_page__is_what_the_command_writes(found: Results) -> None:
    assert PAGE.read_text(encoding="utf-8") == page(found), "python -m tests.matrix --write"


def test_cases__cover_every_capture() -> None:
    known = {case.name for case in cases()}
    missing = sorted(path.stem for path in CAPTURES.glob("*.pcap") if path.stem not in known)
    assert not missing, f"tests/matrix/causes.toml lacks {', '.join(missing)}"
