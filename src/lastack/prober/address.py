"""Targets as people write them: `host:port`, `[2001:db8::1]:443`, and the address behind a name."""

from __future__ import annotations

import socket

from lastack.model.errors import UsageError


def split_target(text: str) -> tuple[str, int]:
    """Return host and port of `host:port` or `[2001:db8::1]:443`.

    Raises:
        UsageError: It has another form.
    """
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise UsageError(f"target {text!r}: put an IPv6 address in brackets")
    if not colon or not host or not (port.isascii() and port.isdigit()) or int(port) > 65535:
        raise UsageError(f"target {text!r}: write it as host:port")
    return host, int(port)


def look_up(host: str, version: int = 0) -> str:
    """Return the first address of a name, empty without one.

    Args:
        host: Name or address.
        version: 4, 6, or 0 for what the name gives first.
    """
    family = {4: socket.AF_INET, 6: socket.AF_INET6}.get(version, socket.AF_UNSPEC)
    try:
        found = socket.getaddrinfo(host, None, family, socket.SOCK_STREAM)
    except OSError:
        return ""
    return str(found[0][4][0])
