"""The link types that LastACK reads: one row each, from which the kernel's dispatch and `lastack info` are made.

Numbers are those of capture files (LINKTYPE_…) together with the DLT_… numbers that some systems write instead.
"""

from __future__ import annotations

from dataclasses import dataclass

from lastack.wire import layers


@dataclass(frozen=True, slots=True)
class LinkType:
    """One link type of capture files.

    Attributes:
        number: LINKTYPE or DLT number.
        name: Name at tcpdump.org, without its prefix.
        layer: The header that a frame starts with (`lastack.wire.layers`).
        help: What it is, for people.
        skip: Bytes of a fixed header in front of `layer` that carry nothing needed here.
    """

    number: int
    name: str
    layer: int
    help: str
    skip: int = 0


LINK_TYPES: tuple[LinkType, ...] = (
    LinkType(0, "NULL", layers.FAMILY, "BSD loopback, family in the byte order of its host"),
    LinkType(1, "EN10MB", layers.ETHERNET, "Ethernet"),
    LinkType(6, "IEEE802_5", layers.TOKEN_RING, "token ring"),
    LinkType(9, "PPP", layers.PPP_HDLC, "PPP, or Cisco HDLC"),
    LinkType(10, "FDDI", layers.FDDI, "FDDI"),
    LinkType(11, "ATM_RFC1483", layers.LLC, "LLC/SNAP over ATM (DLT number of most systems)"),
    LinkType(12, "RAW", layers.IP, "IPv4 or IPv6 (DLT number of most systems)"),
    LinkType(14, "RAW", layers.IP, "IPv4 or IPv6 (DLT number of OpenBSD)"),
    LinkType(50, "PPP_HDLC", layers.PPP_HDLC, "PPP in HDLC framing, or Cisco HDLC"),
    LinkType(51, "PPP_ETHER", layers.PPPOE, "PPPoE session header without its Ethernet"),
    LinkType(100, "ATM_RFC1483", layers.LLC, "LLC/SNAP over ATM"),
    LinkType(101, "RAW", layers.IP, "IPv4 or IPv6"),
    LinkType(104, "C_HDLC", layers.CHDLC, "Cisco HDLC"),
    LinkType(105, "IEEE802_11", layers.WIFI, "802.11"),
    LinkType(107, "FRELAY", layers.FRELAY, "frame relay"),
    LinkType(108, "LOOP", layers.FAMILY, "OpenBSD loopback"),
    LinkType(109, "ENC", layers.IP, "OpenBSD IPsec, decrypted", skip=12),
    LinkType(113, "LINUX_SLL", layers.SLL, "Linux cooked capture"),
    LinkType(117, "PFLOG", layers.PFLOG, "OpenBSD packet filter log"),
    LinkType(119, "PRISM_HEADER", layers.PRISM, "802.11 after a Prism header"),
    LinkType(122, "IP_OVER_FC", layers.LLC, "IP over Fibre Channel", skip=16),
    LinkType(123, "SUNATM", layers.SUNATM, "ATM of SunATM devices"),
    LinkType(127, "IEEE802_11_RADIOTAP", layers.RADIOTAP, "802.11 after a radiotap header"),
    LinkType(149, "USER2", layers.PKTAP, "PKTAP (DLT number of Darwin)"),
    LinkType(163, "IEEE802_11_AVS", layers.AVS, "802.11 after an AVS header"),
    LinkType(178, "JUNIPER_ETHER", layers.JUNIPER, "Ethernet after a Juniper header"),
    LinkType(192, "PPI", layers.PPI, "per-packet information, then any of these"),
    LinkType(204, "PPP_WITH_DIR", layers.PPP_HDLC, "PPP after one byte of direction", skip=1),
    LinkType(205, "C_HDLC_WITH_DIR", layers.CHDLC, "Cisco HDLC after one byte of direction", skip=1),
    LinkType(206, "FRELAY_WITH_DIR", layers.FRELAY, "frame relay after one byte of direction", skip=1),
    LinkType(219, "MPLS", layers.MPLS, "MPLS label stack"),
    LinkType(226, "IPNET", layers.IP, "Solaris IPNET", skip=24),
    LinkType(228, "IPV4", layers.IPV4, "IPv4"),
    LinkType(229, "IPV6", layers.IPV6, "IPv6"),
    LinkType(239, "NFLOG", layers.NFLOG, "Linux netfilter log"),
    LinkType(240, "NETANALYZER", layers.ETHERNET, "Ethernet after a netANALYZER header", skip=4),
    LinkType(241, "NETANALYZER_TRANSPARENT", layers.ETHERNET, "the same with preamble", skip=12),
    LinkType(242, "IPOIB", layers.IPOIB, "IP over InfiniBand", skip=40),
    LinkType(258, "PKTAP", layers.PKTAP, "Apple PKTAP, then any of these"),
    LinkType(276, "LINUX_SLL2", layers.SLL2, "Linux cooked capture, version 2"),
    LinkType(281, "DSA_TAG_BRCM", layers.TAGGED, "Ethernet with the tag of a Broadcom switch", skip=16),
    LinkType(282, "DSA_TAG_BRCM_PREPEND", layers.ETHERNET, "the same with the tag in front", skip=4),
    LinkType(284, "DSA_TAG_DSA", layers.TAGGED, "Ethernet with the tag of a Marvell switch", skip=16),
    LinkType(285, "DSA_TAG_EDSA", layers.TAGGED, "the same with an Ethertype before the tag", skip=20),
)

BY_NUMBER: dict[int, LinkType] = {row.number: row for row in LINK_TYPES}

#: Link types that are named in messages though nothing can be read from them.
NOT_READ: dict[int, str] = {
    143: "DOCSIS",
    147: "USER0",
    148: "USER1",
    150: "USER3",
    189: "USB_LINUX",
    195: "IEEE802_15_4_WITHFCS",
    201: "BLUETOOTH_HCI_H4_WITH_PHDR",
    220: "USB_LINUX_MMAPPED",
    227: "CAN_SOCKETCAN",
    249: "USBPCAP",
    252: "WIRESHARK_UPPER_PDU",
    253: "NETLINK",
    271: "VSOCK",
}


def name_of(link: int) -> str:
    """Return the name of a link type for people: `EN10MB`, or `link type 999` for one not known here."""
    row = BY_NUMBER.get(link)
    return row.name if row is not None else NOT_READ.get(link, f"link type {link}")


def is_read(link: int) -> bool:
    """Return whether frames of this link type can be decoded."""
    return link in BY_NUMBER
