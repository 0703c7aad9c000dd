"""The recipes of the captures still work here: played afresh, they show what their labels claim."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.system.own_captures import twin_rows
from tools import make_captures
from tools.make_captures import RECIPES, lab, netns

pytestmark = pytest.mark.system
needs_lab = pytest.mark.skipif(netns.missing_requirements() != "", reason=netns.missing_requirements())


@needs_lab
@pytest.mark.parametrize(
    "name",
    ["refused", "syn_scan", "close_client_first", "reset_by_server_v6", "data_after_close", "port_reused"],
)
def test_recipe__played_afresh_shows_what_it_claims(name: str, tmp_path: Path) -> None:
    label = make_captures.make(RECIPES[name], tmp_path)
    rows = twin_rows(tmp_path / f"{name}.pcap")
    assert isinstance(label["sessions"], list)
    for row, claim in zip(rows, label["sessions"], strict=True):
        assert {key: row[key] for key in claim if not key.startswith("kernel_")} == {
            key: value for key, value in claim.items() if not key.startswith("kernel_")
        }


@needs_lab
def test_lab__is_removed_after_a_failure() -> None:
    names: list[str] = []

    def fail() -> None:
        with lab.built() as hosts:
            names.extend([hosts.clt, hosts.srv])
            assert all(Path(f"/run/netns/{name}").exists() for name in names)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not any(Path(f"/run/netns/{name}").exists() for name in names)


def test_captures__are_small() -> None:
    folder = make_captures.ROOT / "tests" / "captures"
    assert sum(path.stat().st_size for path in folder.iterdir()) < 500_000
    assert (make_captures.ROOT / "samples" / "closes.pcapng").stat().st_size < 300_000


def test_captures__each_recipe_has_one() -> None:
    folder = make_captures.ROOT / "tests" / "captures"
    assert {path.stem for path in folder.glob("*.pcap")} == set(RECIPES)
