"""From a captured frame to its IP packet: link headers, VLAN tags, MPLS labels and PPPoE, one step at a time.

Each step returns what follows as (kind, bytes, note); `kind` is `ip`, an EtherType, or a reason to drop.
"""

from __future__ import annotations

from dataclasses import dataclass


class Drop(Exception):  # noqa: N818 - a reason to drop is not an error
    """The frame has no TCP segment for us; the text is the ledger's word."""


@dataclass(slots=True)
class Wrap:
    """What has been peeled off so far: innermost wrapping, innermost VLAN id, depth."""

    encap: str = "none"
    vlan: int = 0
    depth: int = 0

    def enter(self, encap: str) -> None:
        """Note one more wrapping."""
        self.depth += 1
        if self.depth > 8:
            raise Drop("too_deep")
        self.encap = encap


def need(data: bytes, count: int) -> None:
    """Drop the frame as truncated unless `count` bytes are there."""
    if len(data) < count:
        raise Drop("truncated")


def u16(data: bytes, at: int) -> int:
    """Return two bytes as a big-endian number."""
    need(data, at + 2)
    return int.from_bytes(data[at : at + 2], "big")


ETHERNET, NULL, PPP, RAW, LOOP, C_HDLC, SLL, FRELAY, SLL2 = 1, 0, 9, 101, 108, 104, 113, 107, 276
RAW_LINKS = (12, 14, RAW)
RAW_VERSIONS = {228: 4, 229: 6}
PPP_LINKS = (PPP, 50)


def to_ip(link: int, data: bytes, wrap: Wrap) -> bytes:
    """Return the bytes from the IP header on."""
    if link == ETHERNET:
        return ethernet(data, wrap)
    if link in (NULL, LOOP):
        need(data, 4)
        family = {int.from_bytes(data[:4], order) for order in ("little", "big")}
        if family & {2, 10, 24, 28, 30}:
            return data[4:]
        raise Drop("not_ip")
    if link in RAW_LINKS:
        return data
    if link in RAW_VERSIONS:
        return of_version(RAW_VERSIONS[link], data)
    if link == SLL:
        return ethertype(u16(data, 14), data[16:], wrap)
    if link == SLL2:
        need(data, 20)
        return ethertype(u16(data, 0), data[20:], wrap)
    if link == C_HDLC:
        return ethertype(u16(data, 2), data[4:], wrap)
    if link in PPP_LINKS:
        return ppp(data, wrap)
    if link == FRELAY:
        return frame_relay(data, wrap)
    raise Drop("unknown_link")


def ethernet(data: bytes, wrap: Wrap) -> bytes:
    """Peel an Ethernet header."""
    return ethertype(u16(data, 12), data[14:], wrap)


def ethertype(kind: int, data: bytes, wrap: Wrap) -> bytes:
    """Follow an EtherType to the IP header."""
    if kind in (0x0800, 0x86DD):
        return of_version(4 if kind == 0x0800 else 6, data)
    if kind in (0x8100, 0x88A8, 0x9100):
        wrap.vlan = u16(data, 0) & 0x0FFF
        wrap.enter("qinq" if wrap.encap in ("vlan", "qinq") else "vlan")
        return ethertype(u16(data, 2), data[4:], wrap)
    if kind in (0x8847, 0x8848):
        return mpls(data, wrap)
    if kind == 0x8864:
        need(data, 6)
        wrap.enter("pppoe")
        return ppp(data[6:], wrap)
    if kind == 0x8903:  # FabricPath: the outer header is 16 bytes, then a whole frame
        wrap.enter("fabricpath")
        need(data, 2)
        return ethernet(data[2:], wrap)
    raise Drop("not_ip")


def of_version(version: int, data: bytes) -> bytes:
    """Return an IP packet that was announced with its version."""
    need(data, 1)
    if data[0] >> 4 != version:
        raise Drop("bad_header")
    return data


def mpls(data: bytes, wrap: Wrap) -> bytes:
    """Peel a stack of MPLS labels; the first nibble after it says what it carried."""
    wrap.enter("mpls")
    while True:
        need(data, 4)
        bottom = data[2] & 1
        data = data[4:]
        if bottom:
            break
    need(data, 1)
    if data[0] >> 4 in (4, 6):
        return data
    if data[0] >> 4 == 0:  # a pseudowire's control word, then Ethernet
        return ethernet(data[4:], wrap)
    raise Drop("not_ip")


def ppp(data: bytes, wrap: Wrap) -> bytes:
    """Peel PPP, with or without address and control bytes, with a protocol of one byte or two."""
    if data[:2] in (b"\xff\x03", b"\x0f\x00", b"\x8f\x00"):
        if data[0] != 0xFF:  # Cisco HDLC framing inside PPP_SERIAL
            return ethertype(u16(data, 2), data[4:], wrap)
        data = data[2:]
    need(data, 2)
    if data[0] & 1:
        protocol, data = data[0], data[1:]
    else:
        protocol, data = u16(data, 0), data[2:]
    if protocol in (0x21, 0x57):
        return of_version(4 if protocol == 0x21 else 6, data)
    if protocol in (0x281, 0x283):
        return mpls(data, wrap)
    raise Drop("not_ip")


def frame_relay(data: bytes, wrap: Wrap) -> bytes:
    """Peel a Q.922 address of two to four bytes, then an NLPID or an EtherType."""
    at = 0
    while True:
        need(data, at + 1)
        at += 1
        if data[at - 1] & 1:
            break
        if at > 4:
            raise Drop("bad_header")
    need(data, at + 2)
    if data[at] == 0x03:  # unnumbered information: NLPID follows, maybe after a pad byte
        at += 1
        if data[at] == 0:
            at += 1
        need(data, at + 1)
        nlpid = data[at]
        if nlpid in (0xCC, 0x8E):
            return data[at + 1 :]
        if nlpid == 0x80:  # SNAP
            return ethertype(u16(data, at + 4), data[at + 6 :], wrap)
        raise Drop("not_ip")
    return ethertype(u16(data, at), data[at + 2 :], wrap)  # Cisco
