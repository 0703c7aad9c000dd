"""Where addresses, ports and checksums of an IP packet are, and how to put others there.

Checksums are updated from what changes alone (RFC 1624), so that packets of 64 KiB cost no more than small ones. A
checksum that hardware was to finish (virtio-net's flag) covers the addresses only, and is not complemented.
"""

from __future__ import annotations

from typing import NamedTuple

from lastack.wire.build import checksum

TCP, ICMP, ICMP6 = 6, 1, 58
_FRAGMENT, _EXTENSIONS = 44, (0, 43, 60)
_MOST_EXTENSIONS = 8
_MORE, _OFFSET = 0x2000, 0x1FFF


class Place(NamedTuple):
    """Where things are in a packet.

    Attributes:
        version: 4 or 6.
        source: Offset of the source address; the destination follows it.
        size: Bytes of an address.
        protocol: Of the payload, after extension headers.
        payload: Offset of the payload.
        first: Whether the payload's header is here: not a later fragment.
        fragment: What all fragments of the packet share, empty for a whole packet.
    """

    version: int
    source: int
    size: int
    protocol: int
    payload: int
    first: bool
    fragment: bytes


def place_of(packet: memoryview) -> Place | None:
    """Return where things are in an IP packet, None if it is none or is cut short in its headers."""
    if len(packet) < 20:
        return None
    version = packet[0] >> 4
    if version == 4:
        payload = (packet[0] & 15) * 4
        if payload < 20 or len(packet) < payload:
            return None
        offset = packet[6] << 8 | packet[7]
        ident = bytes(packet[4:6]) + bytes(packet[9:10]) if offset & (_MORE | _OFFSET) else b""
        return Place(4, 12, 4, packet[9], payload, not offset & _OFFSET, ident)
    if version != 6 or len(packet) < 40:
        return None
    protocol, payload, first, ident = packet[6], 40, True, b""
    for _ in range(_MOST_EXTENSIONS):
        if protocol == _FRAGMENT and len(packet) >= payload + 8:
            first = not (packet[payload + 2] << 8 | packet[payload + 3]) & 0xFFF8
            ident = bytes(packet[payload + 4 : payload + 8])
            protocol, payload = packet[payload], payload + 8
            if not first:
                break
        elif protocol in _EXTENSIONS and len(packet) >= payload + 8:
            protocol, payload = packet[payload], payload + 8 + packet[payload + 1] * 8
        else:
            break
    return Place(6, 8, 16, protocol, payload, first, ident) if len(packet) >= payload else None


def addresses(packet: memoryview, place: Place) -> tuple[bytes, bytes]:
    """Return source and destination, packed."""
    middle = place.source + place.size
    return bytes(packet[place.source : middle]), bytes(packet[middle : middle + place.size])


def words_of(data: bytes) -> int:
    """Return the sum of the 16-bit words of an even number of bytes."""
    return sum(data[at] << 8 | data[at + 1] for at in range(0, len(data), 2))


def change(old: bytes, new: bytes) -> int:
    """Return what a checksum's sum grows by when words change: ~old + new, in one's complement."""
    total = words_of(new) + 0xFFFF * (len(old) // 2) - words_of(old)
    return _folded(total)


def _folded(total: int) -> int:
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total


class Edit(NamedTuple):
    """Another address and port for one end of a packet.

    Attributes:
        address: The new address, packed.
        port: The new port, two bytes.
        by_address: What the new address changes in sums: `change`.
        by_port: The same for the port.
    """

    address: bytes
    port: bytes
    by_address: int
    by_port: int


def edit(address: bytes, port: bytes, old_address: bytes, old_port: bytes) -> Edit:
    """Return the edit that replaces one end by another."""
    return Edit(address, port, change(old_address, address), change(old_port, port))


def _add(packet: memoryview, at: int, by: int, *, plain: bool = False) -> None:
    """Update a checksum, complemented unless plain."""
    value = packet[at] << 8 | packet[at + 1]
    total = (value if plain else value ^ 0xFFFF) + by
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    if not plain:
        total ^= 0xFFFF
    packet[at] = total >> 8
    packet[at + 1] = total & 0xFF


def rewrite(packet: memoryview, place: Place, made: Edit, *, of_source: bool, partial: bool = False) -> None:
    """Put another end into a packet and keep its checksums right.

    Args:
        packet: The packet; changed in place.
        place: Where things are in it.
        made: The new end.
        of_source: Whether it is the sender, else the receiver.
        partial: The TCP checksum is only that of the pseudo-header, for hardware to finish.
    """
    size = place.size
    at = place.source if of_source else place.source + size
    packet[at : at + size] = made.address
    if size == 4:
        _add(packet, 10, made.by_address)
    tcp = place.payload
    if not place.first or place.protocol != TCP or len(packet) < tcp + 4:
        return
    port = tcp if of_source else tcp + 2
    packet[port : port + 2] = made.port
    if len(packet) >= tcp + 18:
        # a partial sum does not have the ports in it yet
        by = made.by_address if partial else made.by_address + made.by_port
        _add(packet, tcp + 16, by, plain=partial)


def quoted(packet: memoryview, place: Place) -> tuple[memoryview, Place] | None:
    """Return the packet that an ICMP error quotes and where things are in it; None if it is no such error."""
    if not place.first or len(packet) < place.payload + 8:
        return None
    kind = packet[place.payload]
    if place.protocol == ICMP:
        if kind not in (3, 4, 5, 11, 12):
            return None
    elif place.protocol != ICMP6 or not 1 <= kind <= 4:
        return None
    inner = packet[place.payload + 8 :]
    found = place_of(inner)
    if found is None or found.protocol != TCP or not found.first or len(inner) < found.payload + 4:
        return None
    return inner, found


def rewrite_error(
    packet: memoryview, place: Place, inner: memoryview, found: Place, made: Edit, *, outward: bool
) -> None:
    """Put another end into an ICMP error and into what it quotes.

    Args:
        packet: The error; changed in place.
        place: Where things are in it.
        inner: What it quotes.
        found: Where things are in that.
        made: The new end.
        outward: Whether the error is sent outside: then its sender changes, and the receiver of what it quotes.
    """
    old = bytes(packet[place.source : place.source + 2 * place.size])
    rewrite(inner, found, made, of_source=not outward)
    at = place.source if outward else place.source + place.size
    packet[at : at + place.size] = made.address
    if place.size == 4:
        new = bytes(packet[place.source : place.source + 8])
        _add(packet, 10, change(old, new))
    # an error is short: made anew, for what changed inside may have been cut short
    icmp = place.payload
    packet[icmp + 2 : icmp + 4] = b"\0\0"
    body = bytes(packet[icmp:])
    if place.protocol == ICMP6:
        ends = bytes(packet[place.source : place.source + 32])
        body = ends + len(body).to_bytes(4, "big") + b"\0\0\0" + bytes([ICMP6]) + body
    packet[icmp + 2 : icmp + 4] = checksum(body).to_bytes(2, "big")
