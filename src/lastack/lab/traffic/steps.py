"""What one end of a flow lived through, and when."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from lastack.model.errors import UsageError

#: How it ended for one end.
OUTCOMES: dict[str, str] = {
    "done": "all data came and went, and the connection was closed as planned",
    "stopped": "data ceased to flow before the flow was done, and nobody said why",
    "not closed": "all data came and went, but the other end's FIN or the answer to ours did not come",
    "reset": "the connection was reset before the flow was done",
    "refused": "the connection could not be opened: refused, or unreachable",
    "unanswered": "the connection could not be opened: no answer",
    "cancelled": "the test was ended before the flow was",
    "unknown": "this end never told",
}


@dataclass(slots=True)
class Steps:
    """One end's account. Times are ns on that end's own clock, None for what did not happen.

    Attributes:
        begun_ns: It began to connect, or accepted.
        opened_ns: The connection was established.
        first_sent_ns: First payload handed to the kernel.
        first_received_ns: First payload received.
        last_sent_ns: Last payload handed to the kernel.
        last_received_ns: Last payload received.
        fin_sent_ns: Own FIN sent (with whatever was queued before it).
        fin_seen_ns: The other end's FIN read.
        closed_ns: The own kernel's connection was over: CLOSED, or only waiting in TIME_WAIT.
        stopped_ns: Last progress of a flow that stopped.
        sent: Payload bytes handed to the kernel.
        unacked: Of these, what was never acknowledged.
        received: Payload bytes received.
        outcome: One of `OUTCOMES`.
        detail: More on it, for people.
    """

    begun_ns: int | None = None
    opened_ns: int | None = None
    first_sent_ns: int | None = None
    first_received_ns: int | None = None
    last_sent_ns: int | None = None
    last_received_ns: int | None = None
    fin_sent_ns: int | None = None
    fin_seen_ns: int | None = None
    closed_ns: int | None = None
    stopped_ns: int | None = None
    sent: int = 0
    unacked: int = 0
    received: int = 0
    outcome: str = "unknown"
    detail: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return it as the other end is told it."""
        return asdict(self)

    @classmethod
    def from_json(cls, told: Any, ahead_ns: int) -> Steps:
        """Return an account that came over the wire, in the receiver's time.

        Args:
            told: What came.
            ahead_ns: How far the teller's clock is ahead.

        Raises:
            UsageError: It is no account.
        """
        try:
            steps = cls(**told)
        except TypeError as error:
            raise UsageError(f"not the account of a flow: {error}") from error
        for field in fields(cls):
            value = getattr(steps, field.name)
            wanted: tuple[type, ...] = (int,)
            if field.name in ("outcome", "detail"):
                wanted = (str,)
            elif field.name.endswith("_ns"):
                wanted = (int, type(None))
            if not isinstance(value, wanted) or isinstance(value, bool):
                raise UsageError(f"not the account of a flow: {field.name} is {value!r}")
            if field.name.endswith("_ns") and isinstance(value, int):
                setattr(steps, field.name, value - ahead_ns)
        return steps
