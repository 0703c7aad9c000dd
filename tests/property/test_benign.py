"""Nobody is blamed for harmless sessions, whatever hosts, networks and captures do to their packets."""

from __future__ import annotations

from tests.matrix.benign import verdicts
from tests.matrix.judge import ACCUSATIONS

SESSIONS = 4_000  # `python -m tests.matrix.benign 120000` makes more
KINDS = 10  # causes that so many sessions must show, or they prove little


def test_harmless_sessions__blame_nobody() -> None:
    said = list(verdicts(1_000_000, SESSIONS))
    assert len(said) >= SESSIONS
    assert [(address, cause) for address, cause in said if cause in ACCUSATIONS] == []
    assert len({cause for _, cause in said}) >= KINDS
