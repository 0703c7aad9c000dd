"""Lets a caller watch and confine every database connection that a question opens, so that it can be stopped."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # loading DuckDB takes longer than a small capture does
    import duckdb

Guard = Callable[["duckdb.DuckDBPyConnection"], None]
_GUARD: ContextVar[Guard | None] = ContextVar("lastack_store_guard", default=None)


@contextlib.contextmanager
def guarded(guard: Guard) -> Iterator[None]:
    """Call `guard` with each connection that is opened inside, before anything is asked of it.

    Args:
        guard: May set options and keep the connection to interrupt it; what it raises ends the question.
    """
    token = _GUARD.set(guard)
    try:
        yield
    finally:
        _GUARD.reset(token)


def admit(connection: duckdb.DuckDBPyConnection) -> None:
    """Show a new connection to the guard, if there is one."""
    guard = _GUARD.get()
    if guard is not None:
        guard(connection)
