"""The records of the flow table: what is kept of a live session, packed by how often it is touched.

`HOT` and `KEY` are the two cache lines that every packet touches; `INFO` is written while opening and read at the
end; `CLOSE` is allocated at the first FIN or RST; `RARE` at the first oddity (retransmission, keepalive, port
reuse, counters past 255). Directions are canonical here (0: sent by `lo`, 1: sent by `hi`); only `rows` knows
client and server. Index 0 means "none" in every pool.
"""

from __future__ import annotations

import numpy as np

from lastack.kernels._jit import record_at
from lastack.model.batch import SEGMENT

HOT = np.dtype(
    [
        ("bytes", "i8", 2),   # payload sent
        ("end_ns", "i8"),     # latest time
        ("max_idle", "i8"),   # ns, longest silence while established
        ("packets", "u4", 2),
        ("end", "u4", 2),     # highest sequence number sent, plus one
        ("ack", "u4", 2),     # highest acknowledgment sent
        ("bits", "u4"),      # bits below
        ("window", "u2", 2),  # last window sent, unscaled
    ]
)  # fmt: skip
assert HOT.itemsize == 64

KEY = np.dtype(
    [
        ("lo0", "u8"), ("lo1", "u8"), ("hi0", "u8"), ("hi1", "u8"),
        ("start_ns", "i8"),
        ("ports", "u4"),
        ("after_rst", "u4"),  # packets after the first RST
        ("close", "u4"),      # index into the CLOSE pool
        ("gap", "u4"),        # index of the newest GAP node
        ("ipid", "u2", 2),    # last IP-ID; after the first RST: its step, in its sender's place
        ("ttl", "u1", 2),     # last TTL; after the first RST see lifecycle._fingerprint
        ("steps", "u1"),      # two nibbles: IPv4 packets with orderly IP-ID steps (0..3), 7 not a counter; + WRAPPED
        ("order", "u1"),      # first FIN and RST of each end in order, two bits each: RST << 1 | direction
    ]
)  # fmt: skip
assert KEY.itemsize == 64

INFO = np.dtype(
    [
        ("synack_ns", "i8"),  # first SYN-ACK, NEVER without
        ("ct_ns", "i8"),      # packet that completed the handshake, NEVER without
        ("history", "u8"),    # letters of four bits under a leading one; kind << 1 | direction
        ("origin", "u8"),     # sensor << 48 | number of the first packet
        ("first", "u4", 2),   # known ISN, else lowest sequence number seen
        ("count", "u1", 8),   # SYN, SYN-ACK, FIN, RST of both directions; carries go to RARE
        ("rare", "u4"),       # index into the RARE pool
        ("vlan", "u2"),       # encapsulation << 12 | VLAN id
        ("wscale", "u1"),     # two nibbles, 15 without the option
        ("verdict", "u1"),    # RST_SEQ and the bits below it
    ]
)  # fmt: skip
assert INFO.itemsize == 56

CLOSE = np.dtype(
    [
        ("fin1_ns", "i8"),
        ("fin2_ns", "i8"),
        ("closed_ns", "i8"),
        ("rst_ns", "i8"),
        ("idle_ns", "i8"),       # silence before the first FIN or RST, NEVER if it came first
        ("half_gap", "i8"),      # ns, longest silence while half-closed
        ("half_bytes", "i8"),
        ("fin", "u4", 2),        # position of the first FIN
        ("rst", "u4", 2),        # sequence number of the last RST
    ]
)  # fmt: skip
assert CLOSE.itemsize == 72

RARE = np.dtype(
    [
        ("previous_id", "u8"),
        ("history", "u8"),           # letters 16 to 30
        ("syn_ns", "i8"),            # first SYN, where it is not the first packet
        ("seen_again", "i8", 2),     # payload bytes that were not new
        ("after_fin", "i8", 2),      # payload bytes beyond the sender's own FIN
        ("retx", "u4", 2),
        ("keepalives", "u4", 2),
        ("carry", "u4", 8),          # multiples of 255 of INFO.count
        ("holes", "u4", 2),          # NODE lists of unseen ranges
        ("fins", "u4", 2),           # NODE lists of further FIN positions
        ("last_syn", "u4", 2),       # sequence number of the last S or H letter, where it differs from the first
        ("last_fin", "u4", 2),
        ("n_holes", "u2"),
        ("marks", "u2"),             # bits below
        ("shadow", "u4"),            # index of the earlier session that can still get packets
        ("repeats", "u4"),           # trailing packets that only repeat
        ("packet_carry", "u2", 2),   # multiples of 2**32 of HOT.packets
        ("icmp", "u2"),              # type << 8 | code of the ICMP error that answered
        ("letters", "u1"),           # see lastack.kernels.history
        ("odd", "u1"),               # bits 0..3: last_syn, last_fin in use; 4: end that repeats; below
    ]
)  # fmt: skip

GAP = np.dtype(
    [
        ("start_ns", "i8"),
        ("gap_ns", "i8"),
        ("bytes", "i8", 2),
        ("next", "u4"),
        ("phase", "u1"),
        ("place", "u1"),  # entries of the session so far
        ("pad", "u2"),
    ]
)

#: A half-open range of sequence numbers, or one position, in a list.
NODE = np.dtype([("low", "u4"), ("high", "u4"), ("next", "u4"), ("pad", "u4")])

POOL = np.dtype(
    [
        ("address", "i8"),
        ("stride", "i8"),
        ("used", "i8"),
        ("free", "i8"),
        ("capacity", "i8"),
        ("failed", "i8"),
    ]
)

#: Control block of one shard of the flow table: addresses of its arrays, limits and counters.
TABLE = np.dtype(
    [
        ("slots", "i8"), ("mask", "i8"), ("filled", "i8"),
        ("hot", "i8"), ("key", "i8"), ("info", "i8"),
        ("records", "i8"),      # highest index ever used
        ("free", "i8"),         # freed records, linked through HOT.packets[0]
        ("capacity", "i8"),
        ("live", "i8"),         # records in use, finished ones whose row was not written yet included
        ("limit", "i8"),        # of live
        ("close", "i8"), ("rare", "i8"), ("gap", "i8"), ("node", "i8"),  # addresses of POOL blocks
        ("finished", "i8"), ("n_finished", "i8"),
        ("found", "i8"),        # scratch of one batch
        ("origin_add", "u8"),   # added to SEGMENT.origin: what the part of a window could not know
        ("idle_ns", "i8"),      # sessions silent for longer end
        ("created", "i8"), ("evicted", "i8"), ("timed_out", "i8"),
        ("lost_gaps", "i8"), ("lost_holes", "i8"), ("icmp", "i8"),
    ]
)  # fmt: skip

NEVER = -(1 << 63)
NO_LIMIT_NS = 1 << 62
MASK32 = 0xFFFFFFFF

# HOT.bits; pairs are one bit for each direction
CLIENT_HI = 1 << 0
ISN = 1 << 1  # 2 bits: first SYN or SYN-ACK seen
SYN_SEEN = 1 << 3  # 2 bits: SYN without ACK
SYNACK_SEEN = 1 << 5  # 2 bits
FIN_SEEN = 1 << 7  # 2 bits
RST_SEEN = 1 << 9  # 2 bits
RST_EFFECTIVE = 1 << 11
RST_EFFECTIVE_HI = 1 << 12
HANDSHAKE = 1 << 13
ESTABLISHED = 1 << 14
LETTER_D = 1 << 15  # 2 bits
LETTER_A = 1 << 17  # 2 bits
ACK_SENT = 1 << 19  # 2 bits: HOT.ack is known
SEQ_SENT = 1 << 21  # 2 bits: HOT.end is known (a packet other than RST was seen)
SYN_WINDOW = 1 << 23  # 2 bits: the last window came with a SYN and is never scaled
REPEATING = 1 << 25
ICMP_ERROR = 1 << 26
HOLES = 1 << 27
SHADOW = 1 << 28  # embryonic, and an earlier session can still get packets
DETACHED = 1 << 29  # not in the slots: finished, or the shadow of a newer session
DATA = 1 << 30  # payload in a packet with ACK and no SYN, or in a bare SYN
BARE_ACK = 1 << 31  # ACK, no SYN and no payload
BOTH_FINS = 3 * FIN_SEEN
ANY_FIN_RST = 3 * FIN_SEEN | 3 * RST_SEEN
ANY_ISN = 3 * ISN

# INFO.verdict
RST_SEQ = 3  # 2 bits: lastack.model.enums.RstSeq
TTL_KNOWN = 1 << 2
IPID_KNOWN = 1 << 3
CROSSED_FINS = 1 << 4
RST_AFTER_FINS = 1 << 5
FINS_AT_RST = 6  # shift of 2 bits: FINs seen when the first effective RST came

# KEY.steps
WRAPPED = 8  # bit of each nibble: the direction spans 2**31 sequence numbers or more
NOT_COUNTING = 7

# RARE.odd
LATE_SYN = 32  # the first SYN is not the first packet
SYNACK_FIRST = 64  # a SYN-ACK came before the SYN

# RARE.marks
SYN_ACKED = 1 << 0  # 2 bits: the end's SYN was acknowledged after the SYNs of both
RESET_FIRST = 1 << 2  # 2 bits: the end's first SYN-ACK came after every effective RST

# INFO.count and RARE.carry, plus direction
N_SYN, N_SYNACK, N_FIN, N_RST = 0, 2, 4, 6

# kinds of INFO.history
L_SYN, L_SYNACK, L_ACK, L_DATA, L_FIN, L_RST, L_FIN_RST, L_MULTI = range(8)
LETTERS = "SHADFRIQ"

MAX_GAPS = 64  # of one session
MAX_HOLES = 1024  # of one session
GAP_FLOOR_NS = 1_000_000_000  # silences that enter the gap profile
OPEN_GAP_FLOOR_NS = (
    5_000_000_000  # while established or mid-stream: no known box has a shorter idle timer there
)

hot_at = record_at(HOT)
key_at = record_at(KEY)
info_at = record_at(INFO)
close_at = record_at(CLOSE)
rare_at = record_at(RARE)
gap_at = record_at(GAP)
node_at = record_at(NODE)
pool_at = record_at(POOL)
table_at = record_at(TABLE)
segment_at = record_at(SEGMENT)

S_HOT, S_KEY, S_INFO, S_CLOSE, S_RARE = (
    HOT.itemsize,
    KEY.itemsize,
    INFO.itemsize,
    CLOSE.itemsize,
    RARE.itemsize,
)
S_GAP, S_NODE, S_SEGMENT = GAP.itemsize, NODE.itemsize, SEGMENT.itemsize
