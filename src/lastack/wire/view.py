"""What the readable decoder works with: a position in a frame, the reason to stop, and what was found on the way.

The modules of this package decode one frame in plain Python, a header a function. They are the twin that judges the
compiled decoder (`lastack.kernels.decode`): the tests want the same answer of both for every frame.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lastack.model.enums import Drop, Encap

MAX_OFFSET = 0xFFFFFFFF  #: capture files tell lengths in 32 bits


class Dropped(Exception):  # noqa: N818 - not an error but a way out
    """A frame that holds no segment, with its reason."""

    def __init__(self, reason: Drop) -> None:
        super().__init__(reason.name)
        self.reason = reason


@dataclass(slots=True)
class View:
    """The captured bytes of a frame from a position on; the position may lie beyond them."""

    data: bytes
    at: int = 0

    def left(self) -> int:
        """Return how many captured bytes are left."""
        return len(self.data) - self.at

    def need(self, count: int) -> None:
        """Drop the frame as truncated unless so many bytes are left."""
        if self.left() < count:
            raise Dropped(Drop.truncated)

    def u8(self, offset: int = 0) -> int:
        """Return a byte."""
        self.need(offset + 1)
        return self.data[self.at + offset]

    def u16(self, offset: int = 0) -> int:
        """Return a big-endian 16-bit number."""
        return int.from_bytes(self.bytes(offset, 2), "big")

    def u32(self, offset: int = 0) -> int:
        """Return a big-endian 32-bit number."""
        return int.from_bytes(self.bytes(offset, 4), "big")

    def little16(self, offset: int = 0) -> int:
        """Return a little-endian 16-bit number."""
        return int.from_bytes(self.bytes(offset, 2), "little")

    def little32(self, offset: int = 0) -> int:
        """Return a little-endian 32-bit number."""
        return int.from_bytes(self.bytes(offset, 4), "little")

    def bytes(self, offset: int, count: int) -> bytes:
        """Return some bytes."""
        self.need(offset + count)
        start = self.at + offset
        return self.data[start : start + count]

    def skip(self, count: int) -> View:
        """Return the view so many bytes further on."""
        return View(self.data, self.at + count)


@dataclass(slots=True)
class Walk:
    """What is known of the frame so far.

    Attributes:
        wire_end: Offset at which the innermost IP packet ends on the wire.
        limit: Offset beyond which no IP length is believed: the end of the frame on the wire. There is none inside
            the first fragment of a tunnel packet, whose rest is in other frames.
        encap: The wrapping that was taken off last.
        vlan: Id of the innermost VLAN tag.
        wrappings: How many wrappings were taken off.
        quoted: Type and code of the ICMP error whose quotation is being read.
        source: Address of the innermost IP header, 16 bytes.
        destination: The same.
        ttl: TTL or hop limit of the innermost IP header.
        ipid: Its IPv4 identification, None for IPv6.
    """

    wire_end: int
    limit: int
    encap: Encap = Encap.none
    vlan: int = 0
    wrappings: int = 0
    quoted: int | None = None
    source: bytes = field(default=b"")
    destination: bytes = field(default=b"")
    ttl: int = 0
    ipid: int | None = None

    def seen_ip(self) -> bool:
        """Return whether an IP header was reached."""
        return bool(self.source)


@dataclass(frozen=True, slots=True)
class Next:
    """The answer of a header: what follows it (`lastack.wire.layers`), where, and whether it was a wrapping."""

    layer: int
    view: View
    wrapping: Encap | None = None
