"""Numbers of layers: one namespace for link headers, IP protocols and Ethertypes, shared by kernel and twin.

What follows a header is named by one number: an Ethertype (0x600 and above) stands for itself, an IP protocol
for `PROTOCOL` + its number, and the headers below, which carry no such number, are listed here.
"""

from __future__ import annotations

PROTOCOL = 0x100  #: + IP protocol number
FIRST_ETHERTYPE = 0x600

# Layers without an Ethertype.
UNKNOWN = 0
ETHERNET = 1
IP = 2  #: version by its first nibble
LLC = 3  #: IEEE 802.2, with SNAP, NLPID or the IP SAP
PPP = 4  #: RFC 1661, address and control optional
PPP_HDLC = 5  #: RFC 1662, or Cisco HDLC by its first byte
CHDLC = 6  #: Cisco HDLC
FAMILY = 7  #: BSD loopback: 4 bytes of address family in either byte order
SLL = 8
SLL2 = 9
FRELAY = 10
FDDI = 11
TOKEN_RING = 12
WIFI = 13
PRISM = 14
AVS = 15
RADIOTAP = 16
PPI = 17
NFLOG = 18
PKTAP = 19
PFLOG = 20
WIFI_PADDED = 21  #: 802.11 whose header is padded to 4 bytes, as radiotap says
SUNATM = 22
JUNIPER = 23
TAGGED = 24  #: an Ethertype or 802.3 length, what is left behind the tag of a switch chip
IPOIB = 25

# Ethertypes.
IPV4 = 0x0800
IPV6 = 0x86DD
VLAN_TYPES = (0x8100, 0x88A8, 0x9100, 0x9200)
TRILL = 0x22F3
ERSPAN3 = 0x22EB
BRIDGED = 0x6558  #: Transparent Ethernet Bridging
PPP_TYPE = 0x880B
WCCP = 0x883E
MPLS = 0x8847
MPLS_UPSTREAM = 0x8848
PPPOE = 0x8864
LLC_JUMBO = 0x8870
ERSPAN2 = 0x88BE
MACSEC = 0x88E5
ITAG = 0x88E7  #: IEEE 802.1ah
FABRICPATH = 0x8903
CISCO_METADATA = 0x8909
VNTAG = 0x8926
ETAG = 0x893F
NSH = 0x894F
ARISTA = 0xD28B
EDSA = 0xDADA  #: Marvell's switch tag

# IP protocols.
ICMP = PROTOCOL + 1
IPIP = PROTOCOL + 4
TCP = PROTOCOL + 6
UDP = PROTOCOL + 17
SIXIN4 = PROTOCOL + 41
GRE = PROTOCOL + 47
AUTHENTICATION = PROTOCOL + 51
ICMPV6 = PROTOCOL + 58
IPIP_OLD = PROTOCOL + 94
ETHERIP = PROTOCOL + 97
L2TP_IP = PROTOCOL + 115
MPLS_IP = PROTOCOL + 137
ETHERNET_IP = PROTOCOL + 143

# UDP ports of tunnels, as destination.
VXLAN_PORT, VXLAN_LINUX_PORT, VXLAN_GPE_PORT = 4789, 8472, 4790
GENEVE_PORT, GRE_PORT, MPLS_PORT = 6081, 4754, 6635
# As destination or source.
GTPU_PORT, TEREDO_PORT, L2TP_PORT = 2152, 3544, 1701

MAX_WRAPPINGS = 8
