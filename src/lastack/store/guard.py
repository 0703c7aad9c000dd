"""Lets a caller watch and confine every database connection that a question opens, so that it can be stopped.

A connection to DuckDB is in this process and is confined; a question to a server elsewhere can only be stopped.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # loading DuckDB takes longer than a small capture does
    import duckdb


class Stoppable(Protocol):
    """A question at work somewhere."""

    def interrupt(self) -> None:
        """Stop it; may be called again, and when it is over."""


Guard = Callable[["duckdb.DuckDBPyConnection"], None]
Watcher = Callable[[Stoppable], None]
_GUARD: ContextVar[Guard | None] = ContextVar("lastack_store_guard", default=None)
_WATCHER: ContextVar[Watcher | None] = ContextVar("lastack_store_watcher", default=None)


@contextlib.contextmanager
def guarded(guard: Guard, watcher: Watcher | None = None) -> Iterator[None]:
    """Call `guard` with each connection that is opened inside, before anything is asked of it.

    Args:
        guard: May set options and keep the connection to interrupt it; what it raises ends the question.
        watcher: Called with each question to a server elsewhere, to stop it; what it raises ends the question.
    """
    token, other = _GUARD.set(guard), _WATCHER.set(watcher)
    try:
        yield
    finally:
        _GUARD.reset(token)
        _WATCHER.reset(other)


def announce(question: Stoppable) -> None:
    """Show a question to a server elsewhere to who watches, if somebody does."""
    watcher = _WATCHER.get()
    if watcher is not None:
        watcher(question)


def admit(connection: duckdb.DuckDBPyConnection) -> None:
    """Show a new connection to the guard, if there is one."""
    guard = _GUARD.get()
    if guard is not None:
        guard(connection)
