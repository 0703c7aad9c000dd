"""How work is handed to whoever runs it: the core has no threads, its callers may."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

Job = Callable[[], Any]

#: Runs functions, at the same time if it can, and returns their results in order.
Run = Callable[[list[Job]], list[Any]]


def in_turn(jobs: Iterable[Job]) -> list[Any]:
    """Run functions one after the other and return their results in order."""
    return [job() for job in jobs]
