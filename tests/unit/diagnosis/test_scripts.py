"""Each rule fires on a timeline made for it, and not on one that nearly is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.naive.engines import from_path
from tests.naive.rows import from_table
from tests.naive.script import ordered, read_script

import lastack
from lastack.diagnosis.rules import RULES
from lastack.model.enums import Cause

FOLDER = Path(__file__).resolve().parents[2] / "scripts"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*__*.pkts"))
ENGINE: Callable[..., list[dict[str, Any]]] = from_path(
    lambda path: from_table(lastack.track(path, threads=1).table)
)


@pytest.mark.parametrize("name", SCRIPTS)
def test_script__gets_the_verdict_that_it_states(name: str) -> None:
    script = read_script(FOLDER / f"{name}.pkts")
    rows = ordered(ENGINE(script.packets))
    wrong = []
    for verdict in script.verdicts:
        assert verdict.row is not None or len(rows) == 1, f"{len(rows)} rows: say which one"
        row = rows[(verdict.row or 1) - 1]
        wrong += [
            f"{field} is {row[field]}, not {text}"
            for field, text in verdict.values.items()
            if row[field] not in text.split("|")
        ]
    assert script.verdicts
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("cause", [rule.code for rule in RULES if rule.code is not Cause.unknown])
def test_rule__has_a_timeline_that_fires_it_and_one_that_nearly_does(cause: Cause) -> None:
    fires = [name for name in SCRIPTS if name.startswith(f"{cause.name}__fires")]
    misses = [name for name in SCRIPTS if name.startswith(f"{cause.name}__near_miss")]
    assert fires
    assert misses
    for name in fires:
        verdicts = read_script(FOLDER / f"{name}.pkts").verdicts
        assert any(verdict.values.get("cause") == cause.name for verdict in verdicts), name
    for name in misses:
        verdicts = read_script(FOLDER / f"{name}.pkts").verdicts
        assert all(verdict.values.get("cause") != cause.name for verdict in verdicts), name
