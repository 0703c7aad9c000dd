"""A recipe: a pattern, how real stacks are made to show it, and what a reader of the capture must find."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from closelab.lab import Lab

#: Fields of one expected session, in the words of docs/reference/definitions.md.
Expected = dict[str, str | int]


@dataclass(frozen=True)
class Recipe:
    """One close or open pattern.

    Attributes:
        name: Name of the capture file, without the ending.
        about: What happened, in one sentence.
        play: Plays it in a lab; its argument is the lab.
        sessions: What must be found, in the order of the first packets.
        version: IP version, for the addresses of the sessions.
        watch: At which end of the wire the capture is made.
        quick: Whether it takes well under a second.
        snaplen: Bytes kept of each frame.
    """

    name: str
    about: str
    play: Callable[[Lab], None]
    sessions: tuple[Expected, ...]
    version: int = 4
    watch: str = "clt"
    quick: bool = True
    snaplen: int = 128


def ended(clt: str, srv: str, **fields: str | int) -> Expected:
    """Return an expected session that was established, with both endpoint states at the end."""
    base: Expected = {
        "client_by": "syn", "opening": "established", "ct_count": 1, "state_clt": clt, "state_srv": srv,
        "observed": "complete",
    }  # fmt: skip
    return base | fields


def never(opening: str, clt: str, srv: str, **fields: str | int) -> Expected:
    """Return an expected session that was never established."""
    base: Expected = {
        "client_by": "syn", "opening": opening, "ending": "never_opened", "phase": "opening", "ct_count": 0,
        "state_clt": clt, "state_srv": srv, "half_closed_by": "none",
    }  # fmt: skip
    return base | fields
