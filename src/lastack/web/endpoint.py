"""What an endpoint of the API is: a declaration that routes, answers and the OpenAPI document are made from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from lastack.query.ast import Node
from lastack.web.jobs import Job
from lastack.web.library import Snapshot
from lastack.web.params import Param, chosen


@dataclass(frozen=True, slots=True)
class Settings:
    """What the server was started with, as far as answers depend on it.

    Attributes:
        names: Names of the datasets, without their folders.
        captures: Files or folders to look for captures in that are no longer where they were.
        packets: Packets may be read again from captures.
    """

    names: tuple[str, ...] = ()
    captures: tuple[str, ...] = ()
    packets: bool = True


@dataclass(frozen=True, slots=True)
class Ask:
    """One request that was understood.

    Attributes:
        values: Value of each parameter, those in the path included.
        snapshot: The datasets.
        job: The question's own limits.
        settings: What the server was started with.
    """

    values: dict[str, Any]
    snapshot: Snapshot
    job: Job
    settings: Settings = field(default_factory=Settings)

    @property
    def where(self) -> Node | None:
        """The filter that `filter`, `from` and `to` make."""
        return chosen(self.values)

    @property
    def span(self) -> tuple[int | None, int | None]:
        """The time that is looked at: what was asked for, else all there is."""
        first, last = self.values.get("from"), self.values.get("to")
        run = self.snapshot.run
        return (run.first_ns if first is None else first), (run.last_ns if last is None else last)


@dataclass(slots=True)
class Download:
    """A file in the making: its name, its kind, and its pieces.

    Attributes:
        name: What a browser saves it as.
        media: Media type.
        pieces: The bytes; may be large.
        close: Called when they are sent, or nobody wants them any more.
    """

    name: str
    media: str
    pieces: Iterator[bytes]
    close: Callable[[], None] = lambda: None


Handler = Callable[[Ask], Any]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One address of the API.

    Attributes:
        path: After `/api/v1`; parameters in braces.
        summary: One line.
        handler: Gives the answer: JSON values, or a `Download`.
        params: Parameters of the query string.
        path_params: Parameters in the path.
        help: More about it.
        media: Media types that it can answer with.
        cached: The same question to the same data has the same answer.
        missing: It can answer 404.
        patience: How many times the usual limit of time it gets.
    """

    path: str
    summary: str
    handler: Handler
    params: tuple[Param, ...] = ()
    path_params: tuple[Param, ...] = ()
    help: str = ""
    media: tuple[str, ...] = ("application/json",)
    cached: bool = True
    missing: bool = False
    patience: float = 1.0


class MissingError(Exception):
    """There is nothing of that name; the text says what is missing."""
