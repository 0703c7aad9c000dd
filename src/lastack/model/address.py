"""Addresses are 16 bytes in network order inside, IPv4 mapped into IPv6; text is only for people."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

V4_PREFIX = bytes(10) + b"\xff\xff"


@lru_cache(maxsize=65536)
def format_address(packed: bytes) -> str:
    """Return the text of a 16-byte address, dotted for an IPv4-mapped one."""
    if packed.startswith(V4_PREFIX):
        return ".".join(map(str, packed[12:]))
    return str(ipaddress.IPv6Address(packed))


def parse_address(text: str) -> bytes:
    """Return the 16 bytes of an IPv4 or IPv6 address.

    Raises:
        ValueError: The text is not an address.
    """
    address = ipaddress.ip_address(text)
    return address.packed if address.version == 6 else V4_PREFIX + address.packed


def parse_network(text: str) -> tuple[bytes, bytes]:
    """Return the lowest and highest 16-byte address of a CIDR block or a single address.

    Raises:
        ValueError: The text is not a CIDR block; host bits may be set.
    """
    network = ipaddress.ip_network(text, strict=False)
    low, high = network.network_address.packed, network.broadcast_address.packed
    return (low, high) if network.version == 6 else (V4_PREFIX + low, V4_PREFIX + high)
