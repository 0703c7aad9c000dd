"""Each capture shows what the two kernels that made it did, to the product and to its slow twin."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.system.own_captures import CAPTURES, LABELS, Row, product_rows, twin_rows

from lastack.lab.closes import PATTERNS


@pytest.mark.parametrize("rows_of", [product_rows, twin_rows])
@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)
def test_capture__shows_what_its_makers_did(path: Path, rows_of: Callable[[Path], list[Row]]) -> None:
    claims = LABELS[path.stem]["sessions"]
    rows = rows_of(path)
    assert [_key(row) for row in rows] == [_key(claim) for claim in claims]
    differences = [
        f"{name} of session {number} is {row[name]!r}, not {claim[name]!r}"
        for number, (row, claim) in enumerate(zip(rows, claims, strict=True), 1)
        for name in claim
        if not name.startswith("kernel_") and row[name] != claim[name]
    ]
    assert not differences, "\n".join(differences)


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)
def test_capture__each_packet_has_a_session(path: Path) -> None:
    rows = product_rows(path)
    assert sum(row["packets_clt"] + row["packets_srv"] for row in rows) == LABELS[path.stem]["tcp_packets"]


@pytest.mark.parametrize("name", [name for name in LABELS if not PATTERNS[name].blind])
def test_label__states_are_those_of_the_kernels(name: str) -> None:
    for session in LABELS[name]["sessions"]:
        for side in ("clt", "srv"):
            assert session[f"state_{side}"] == session.get(f"kernel_{side}", session[f"state_{side}"])


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("client_ip", "client_port", "server_ip", "server_port"))
