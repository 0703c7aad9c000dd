"""A pattern: how real stacks are made to show it, and what a reader of the capture must find."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from lastack.lab.closes.stage import Stage

#: Fields of one expected session, in the words of docs/reference/definitions.md.
Expected = dict[str, str | int]


@dataclass(frozen=True)
class Pattern:
    """One way to open, to close, or to fail at it.

    Attributes:
        name: Its name, and that of its capture.
        about: What happened, in one sentence.
        play: Plays it on a stage.
        sessions: What must be found, in the order of the first packets. `client_port` counts from the stage's first.
        version: IP version, for the addresses of the sessions.
        watch: At which end of the wire the capture is made.
        quick: Whether it takes well under a second.
        snaplen: Bytes kept of each frame.
        topology: The lab it needs.
        options: Of the lab.
        needs: What it needs beside a lab: programs, devices (paths), and `setgroups`: the right to call it.
        blind: Why the host's own kernel may know another state than an observer of the wire can; empty if it does not.
    """

    name: str
    about: str
    play: Callable[[Stage], None]
    sessions: tuple[Expected, ...]
    version: int = 4
    watch: str = "clt"
    quick: bool = True
    snaplen: int = 128
    topology: str = "direct"
    options: Mapping[str, Any] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    blind: str = ""


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
