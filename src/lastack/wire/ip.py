"""IPv4 and IPv6 headers, readably."""

from __future__ import annotations

from lastack.model.address import V4_PREFIX
from lastack.model.enums import Drop
from lastack.wire import layers
from lastack.wire.view import MAX_OFFSET, Dropped, Next, View, Walk

#: IPv6 extension headers whose length is (second byte + 1) * 8: hop-by-hop, routing, destination options,
#: mobility, HIP, Shim6.
_EXTENSIONS = {0, 43, 60, 135, 139, 140}
_FRAGMENT, _AUTHENTICATION = 44, 51
_JUMBO = 0xC2


def read_ip(view: View, walk: Walk) -> Next:
    """Take off an IP header of the version that its first nibble tells."""
    version = view.u8() >> 4
    if version == 4:
        return read_ipv4(view, walk)
    if version == 6:
        return read_ipv6(view, walk)
    raise Dropped(Drop.bad_header)


def read_ipv4(view: View, walk: Walk) -> Next:
    """Take off an IPv4 header (RFC 791)."""
    view.need(20)
    header = (view.u8() & 15) * 4
    total = view.u16(2)
    if view.u8() >> 4 != 4 or header < 20:
        raise Dropped(Drop.bad_header)
    if total and walk.quoted is None:
        if total < header:
            raise Dropped(Drop.bad_header)
        walk.wire_end = min(view.at + total, walk.limit)
    if view.u16(6) & 0x1FFF:
        raise Dropped(Drop.fragment)
    if view.u16(6) & 0x2000:
        walk.limit = MAX_OFFSET
    view.need(header)
    walk.ipid = view.u16(4)
    walk.ttl = view.u8(8)
    walk.source = V4_PREFIX + view.bytes(12, 4)
    walk.destination = V4_PREFIX + view.bytes(16, 4)
    return Next(layers.PROTOCOL + view.u8(9), view.skip(header))


def _jumbo_length(options: bytes) -> int:
    at = 0
    while at + 6 <= len(options):
        if options[at] == _JUMBO:
            return int.from_bytes(options[at + 2 : at + 6], "big")
        at += 1 if options[at] == 0 else 2 + options[at + 1]
    return 0


def read_ipv6(view: View, walk: Walk) -> Next:
    """Take off an IPv6 header and its extension headers (RFC 8200)."""
    view.need(40)
    if view.u8() >> 4 != 6:
        raise Dropped(Drop.bad_header)
    length = view.u16(4)
    after = view.u8(6)
    walk.ipid = None
    walk.ttl = view.u8(7)
    walk.source = view.bytes(8, 16)
    walk.destination = view.bytes(24, 16)
    view = view.skip(40)
    if walk.quoted is None:
        if length:
            walk.wire_end = min(view.at + length, walk.limit)
        elif after == 0 and view.left() >= 8:
            size = (view.u8(1) + 1) * 8
            jumbo = _jumbo_length(view.data[view.at + 2 : view.at + size])
            if jumbo:
                walk.wire_end = min(view.at + jumbo, walk.limit)
    while after in _EXTENSIONS or after in (_FRAGMENT, _AUTHENTICATION):
        view.need(8)
        if after == _FRAGMENT:
            if view.u16(2) >> 3:
                raise Dropped(Drop.fragment)
            if view.u16(2) & 1:
                walk.limit = MAX_OFFSET
            size = 8
        elif after == _AUTHENTICATION:
            size = (view.u8(1) + 2) * 4
        else:
            size = (view.u8(1) + 1) * 8
        after = view.u8()
        view = view.skip(size)
    if after == 41:  # only IPv6 in IPv4 has a name of its own; IPv6 in IPv6 is "IP in IP"
        after = 4
    return Next(layers.PROTOCOL + after, view)
