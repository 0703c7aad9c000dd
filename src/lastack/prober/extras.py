"""What a responder can do beside answering connections: raw segments, connections back."""

from __future__ import annotations

from dataclasses import dataclass

from lastack.model.errors import LastackError
from lastack.prober.limits import Limits
from lastack.prober.loop import Loop
from lastack.prober.raw_flows import RawServer
from lastack.prober.reverse import Back


@dataclass(frozen=True, slots=True)
class Extras:
    """What a responder does beside answering connections.

    Attributes:
        raw: Does its part of raw trials; None when it has no raw sockets.
        raw_why: Why it has none.
        back: Opens connections back to who asked; None when that is not allowed.
    """

    raw: RawServer | None = None
    raw_why: str = "it was not asked for"
    back: Back | None = None


def extras_of(loop: Loop, address: str, limits: Limits, raw_port: int | None, *, reverse: bool) -> Extras:
    """Return what a responder can do beside answering connections, on this host and as this user.

    Args:
        loop: The loop.
        address: Where it listens.
        limits: What it spends at most.
        raw_port: Port of raw trials, 0 for any, None for none.
        reverse: Whether it may open connections back.
    """
    raw, why = None, "it was started with --no-raw"
    if raw_port is not None:
        try:
            raw = RawServer(loop, address, raw_port, limits.connections, limits.per_source)
        except LastackError as error:
            why = str(error)
    return Extras(raw, "" if raw else why, Back(loop) if reverse else None)
