"""A listening socket for thousands of connections."""

from __future__ import annotations

import errno
import socket

from lastack.model.errors import AccessError, UsageError


def listen(address: str, port: int) -> socket.socket:
    """Return a listening socket, of both families where the address is `::`.

    Raises:
        UsageError: The address is not one of this host, or the port is taken.
        AccessError: The port needs privileges.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    if family == socket.AF_INET6 and not socket.has_dualstack_ipv6():
        family, address = socket.AF_INET, "0.0.0.0" if address == "::" else address
    try:
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError:
        family, address = socket.AF_INET, "0.0.0.0" if address == "::" else address
        sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if address == "::" else 1)
        sock.bind((address, port))
        sock.listen(4096)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        if error.errno == errno.EACCES:
            raise AccessError(f"port {port} needs privileges; take one above 1023") from error
        raise UsageError(f"cannot listen on {address} port {port}: {error.strerror}") from error
    return sock
