"""The ledger: every packet of the input is in exactly one session row or dropped for one reason."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.naive.packets import Capture


def placed(rows: Sequence[dict[str, Any]]) -> int:
    """Return the packets that the rows account for."""
    return sum(row["packets_clt"] + row["packets_srv"] for row in rows)


def balance(capture: Capture, rows: Sequence[dict[str, Any]]) -> int:
    """Return packets in − packets of sessions − drops: 0 when nothing was lost."""
    return capture.frames - placed(rows) - sum(capture.drops.values())
