"""The contract of an exporter: opened on a target with the columns wanted, fed batches, closed once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Any, Protocol, Self

from lastack.store.target import Target


class Exporter(Protocol):
    """Turns batches of session rows into one output; rows leave in the order they come."""

    def write(self, batch: Any) -> None:
        """Append the rows of a RecordBatch that has the exporter's columns."""

    def close(self) -> None:
        """Write what ends the output and make it visible under its name."""

    def discard(self) -> None:
        """Stop without an output: a file never appears."""


class FileExporter(ABC):
    """What exporters to a byte stream share: the target, and closing well on every way out."""

    def __init__(self, target: str, columns: tuple[str, ...]) -> None:
        self.columns = columns
        self.target = Target(target)

    @abstractmethod
    def write(self, batch: Any) -> None:
        """Append the rows of a batch."""

    def finish(self) -> None:  # noqa: B027  (a hook: doing nothing is right)
        """Write what ends the output; most formats need nothing."""

    def close(self) -> None:
        """Write what ends the output and make it visible under its name."""
        try:
            self.finish()
        except BaseException:
            self.target.discard()
            raise
        self.target.commit()

    def discard(self) -> None:
        """Stop without an output: a file never appears."""
        self.target.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()
