"""The two flat records that packets travel in between stages; sizes and layouts are part of the contract.

`FRAME` is what a reader of a file format produces: where the bytes of one captured frame lie. `SEGMENT` is what
the decoder makes of a frame: one TCP segment (or the quotation of one in an ICMP error), ready to be tracked.
"""

from __future__ import annotations

import numpy as np

#: One captured frame inside a buffer. `link` is the link type number of the capture file (pcap DLT / LINKTYPE);
#: `iface` is the interface number within its file (0 in classic pcap).
FRAME = np.dtype(
    [
        ("ts_ns", "i8"),  # nanoseconds since the epoch
        ("offset", "u8"),  # bytes from the start of the buffer to the first byte of the frame
        ("caplen", "u4"),  # bytes present
        ("wirelen", "u4"),  # bytes on the wire
        ("link", "u4"),
        ("iface", "u4"),
    ]
)
assert FRAME.itemsize == 32

#: One TCP segment. Addresses are two big-endian-valued u64 halves of the 16-byte form (IPv4 mapped into IPv6);
#: `lo` is the smaller (address, port) pair of the two ends, so that both directions share one key.
SEGMENT = np.dtype(
    [
        ("ts_ns", "i8"),
        ("lo0", "u8"), ("lo1", "u8"),
        ("hi0", "u8"), ("hi1", "u8"),
        ("origin", "u8"),    # sensor << 48 | packet number in its file, from 1
        ("ports", "u4"),     # port of lo << 16 | port of hi
        ("seq", "u4"),
        ("ack", "u4"),
        ("payload", "u4"),   # bytes of TCP payload on the wire
        ("hash", "u4"),      # symmetric hash of the key
        ("window", "u2"),    # as sent, unscaled; ICMP quotation: type << 8 | code
        ("ipid", "u2"),      # IPv4 identification
        ("vlan", "u2"),      # innermost VLAN id
        ("tcp_flags", "u1"),  # CWR ECE URG ACK PSH RST SYN FIN
        ("meta", "u1"),      # META_* bits
        ("ttl", "u1"),       # TTL or hop limit
        ("encap", "u1"),     # lastack.model.enums.Encap
        ("wscale", "u1"),    # window scale option, NO_WSCALE without one
        ("shard", "u1"),      # top 8 bits of the same hash, for splitting work
    ]
)  # fmt: skip
assert SEGMENT.itemsize == 80

META_FROM_HI = 1  #: the sender is `hi`
META_HAS_IPID = 2  #: `ipid` is meaningful (IPv4)
META_ICMP = 4  #: not a segment: the header that an ICMP error quotes (sender as in the quotation)

NO_WSCALE = 255

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
