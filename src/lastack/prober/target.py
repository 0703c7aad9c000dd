"""Where a path test goes."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any

from lastack.model.errors import UsageError


@dataclass(frozen=True, slots=True)
class Target:
    """Where the responder is, and what is used to reach it.

    Attributes:
        host: Name or address.
        port: TCP port.
        token: The shared secret, empty without one.
        source: Local address to send from, empty for the kernel's choice.
        family: `AF_INET`, `AF_INET6`, or 0 for what the name gives first.
        rate: Connections opened a second.
        reverse_port: Where to listen for the responder's connections; 0 lets the kernel choose.
    """

    host: str
    port: int
    token: str = ""
    source: str = ""
    family: int = 0
    rate: int = 500
    reverse_port: int = 0


def resolve(target: Target) -> tuple[int, tuple[Any, ...]]:
    """Return family and socket address of a target.

    Raises:
        UsageError: The name has no address.
    """
    try:
        found = socket.getaddrinfo(target.host, target.port, target.family, socket.SOCK_STREAM)
    except OSError as error:
        raise UsageError(f"{target.host}: {error.strerror}") from error
    family, _, _, _, address = found[0]
    return int(family), tuple(address)
