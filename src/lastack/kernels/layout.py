"""The records of the flow table: what is kept of a live session, packed by how often it is touched.

`HOT` and `KEY` are the two cache lines that every packet touches; `INFO` is written while opening and read at the
end; `CLOSE` is allocated at the first FIN or RST, `PROOF` at the first RST and `AFTER` at the first packet after it;
`RARE` at the first oddity (retransmission, keepalive, port reuse, counters past 255). Directions are canonical here
(0: sent by `lo`, 1: sent by `hi`); only what writes rows knows client and server. Index 0 means "none" in every pool.
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
        ("last", "u4"),       # the last packet, see lastack.kernels.fingerprint.stamp
        ("close", "u4"),      # index into the CLOSE pool
        ("gap", "u4"),        # index of the newest GAP node
        ("ipid", "u2", 2),    # last IP-ID before any RST
        ("ttl", "u1", 2),     # last TTL before any RST
        ("steps", "u1"),      # two nibbles: order of the IP-IDs, see lastack.kernels.fingerprint; + WRAPPED
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
        ("count", "u1", 4),   # SYN, SYN-ACK of both directions; carries go to RARE
        ("synack", "u4"),     # place of the first SYN-ACK: packets after the session's first, plus one
        ("rare", "u4"),       # index into the RARE pool
        ("vlan", "u2"),       # encapsulation << 12 | VLAN id
        ("wscale", "u1"),     # two nibbles, 15 without the option
        ("verdict", "u1"),    # RST_SEQ and the bits below it
        ("pad", "u8"),
    ]
)  # fmt: skip
assert INFO.itemsize == 64

#: What every session has, side by side, so that a look-up touches one page and not three.
SESSION = np.dtype([("hot", HOT), ("key", KEY), ("info", INFO)])

CLOSE = np.dtype(
    [
        ("fin1_ns", "i8"),
        ("fin2_ns", "i8"),
        ("closed_ns", "i8"),
        ("idle_ns", "i8"),       # silence before the first FIN or RST, NEVER if it came first
        ("half_gap", "i8"),      # ns, longest silence while half-closed
        ("half_bytes", "i8"),
        ("fin", "u4", 2),        # position of the first FIN
        ("fin_place", "u4", 2),  # place of its packet, as INFO.synack
        ("proof", "u4"),         # index into the PROOF pool
        ("mark", "u4"),          # index of the newest MARK node
        ("count", "u1", 4),      # FIN, RST of both directions; carries go to RARE
        ("aged", "u1"),          # ages of lastack.kernels.marks that have passed
        ("marks", "u1"),         # MARK nodes
        ("pad", "u2"),
    ]
)  # fmt: skip
assert CLOSE.itemsize == 80

PROOF = np.dtype(
    [
        ("rst_ns", "i8"),
        ("before_ns", "i8"),
        ("rst", "u4", 2),        # sequence number of each direction's last RST
        ("seq", "u4"),
        ("ack", "u4"),
        ("payload", "u4"),
        ("end_step", "i4"),
        ("expected_step", "i4"),
        ("ack_step", "i4"),
        ("in_flight", "u4", 2),
        ("place", "u4"),         # of the RST and of the packet before it, as INFO.synack
        ("before", "u4"),
        ("after", "u4"),         # index into the AFTER pool
        ("window", "u2"),
        ("ipid", "u2"),
        ("known", "u2"),         # bits below
        ("tcp_flags", "u1"),
        ("ttl", "u1"),
        ("pad", "u4"),
    ]
)  # fmt: skip
assert PROOF.itemsize == 80

AFTER = np.dtype(
    [
        ("new", "i8", 2),
        ("race_ns", "i8"),
        ("rst2_ns", "i8"),
        ("packets", "u4", 2),
        ("race", "u4"),
        ("race_step", "i4"),
        ("race_payload", "u4"),
        ("more", "u4"),
        ("rst2", "u4"),
        ("rst2_step", "i4"),
        ("other", "u4"),
        ("race_ttl", "u1"),
        ("pad", "u1", 3),
    ]
)  # fmt: skip
assert AFTER.itemsize == 72

RARE = np.dtype(
    [
        ("previous_id", "u8"),
        ("history", "u8"),           # letters 16 to 30
        ("syn_ns", "i8"),            # first SYN, where it is not the first packet
        ("seen_again", "i8", 2),     # payload bytes that were not new
        ("after_fin", "i8", 2),      # payload bytes beyond the sender's own FIN
        ("tail_ns", "i8"),           # first of the trailing repeats, RSTs left aside
        ("progress_ns", "i8"),       # latest time before it
        ("quote_ns", "i8"),          # first ICMP error that quotes a segment
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
        ("tail", "u4"),              # the same, RSTs left aside
        ("tail_place", "u4"),        # places as INFO.synack
        ("quote_place", "u4"),
        ("quotes", "u4"),            # ICMP errors that quote a segment
        ("challenge", "u4"),         # place
        ("late_syns", "u4"),
        ("retry", "u4"),             # index of the newest RETRY node
        ("zero", "u4", 2),           # packets that announce a window of 0
        ("packet_carry", "u2", 2),   # multiples of 2**32 of HOT.packets
        ("icmp", "u2"),              # type << 8 | code of the ICMP error that answered
        ("letters", "u1"),           # see lastack.kernels.history
        ("odd", "u1"),               # bits 0..3: last_syn, last_fin in use; 4: end that repeats; below
        ("quoted", "u2"),            # type << 8 | code of the first ICMP error that quotes a segment
        ("ttl_low", "u1", 2),        # where TTLs before any RST differ
        ("ttl_high", "u1", 2),
        ("tail_kind", "u1"),
        ("retries", "u1"),           # RETRY nodes
    ]
)  # fmt: skip

GAP = np.dtype(
    [
        ("start_ns", "i8"),
        ("gap_ns", "i8"),
        ("bytes", "i8", 2),
        ("packets", "u4", 2),
        ("next", "u4"),
        ("phase", "u1"),
        ("place", "u1"),  # entries of the session so far
        ("carry", "u1"),  # two nibbles: multiples of 2**32 - 1 of packets
        ("what", "u1"),   # bits below
    ]
)  # fmt: skip

#: A silence of a half-closed session, by its ages, and what had been sent before it.
MARK = np.dtype(
    [
        ("since", "i8"),  # ns since the first FIN
        ("until", "i8"),
        ("bytes", "i8", 2),
        ("packets", "u4", 2),
        ("next", "u4"),
        ("carry", "u1"),  # as GAP
        ("pad", "u1", 3),
    ]
)  # fmt: skip

#: A packet that came while a session opened, other than the handshake's own.
RETRY = np.dtype([("ns", "i8"), ("next", "u4"), ("what", "u1"), ("pad", "u1", 3)])

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
        ("sessions", "i8"),     # address of the SESSION records
        ("records", "i8"),      # highest index ever used
        ("free", "i8"),         # freed records, linked through HOT.packets[0]
        ("capacity", "i8"),
        ("live", "i8"),         # records in use, finished ones whose row was not written yet included
        ("limit", "i8"),        # of live
        ("close", "i8"), ("rare", "i8"), ("gap", "i8"), ("node", "i8"),  # addresses of POOL blocks
        ("proof", "i8"), ("after", "i8"), ("mark", "i8"), ("retry", "i8"),
        ("finished", "i8"), ("n_finished", "i8"),
        ("found", "i8"),        # scratch of one batch
        ("origin_add", "u8"),   # added to SEGMENT.origin: what the part of a window could not know
        ("idle_ns", "i8"),      # sessions silent for longer end
        ("created", "i8"), ("evicted", "i8"), ("timed_out", "i8"),
        ("lost_gaps", "i8"), ("lost_holes", "i8"), ("lost_marks", "i8"), ("lost_retries", "i8"), ("icmp", "i8"),
    ]
)  # fmt: skip

#: Segments that follow each other in memory, to be accounted for from the first that is not done yet.
PIECE = np.dtype([("address", "i8"), ("done", "i8"), ("n", "i8"), ("origin_add", "u8")])

NEVER = -(1 << 63)
NO_LIMIT_NS = (1 << 63) - 1
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
CROSSED_FINS = 1 << 4
RST_AFTER_FINS = 1 << 5
FINS_AT_RST = 6  # shift of 2 bits: FINs seen when the first effective RST came

# KEY.steps
WRAPPED = 8  # bit of each nibble: the direction spans 2**31 sequence numbers or more

# PROOF.known
RST_FROM_HI = 1 << 0
HAS_END, HAS_EXPECTED, HAS_ACK_STEP, HAS_IPID = 1 << 1, 1 << 2, 1 << 3, 1 << 4
HAS_BEFORE = 1 << 5
BEFORE_HI = 1 << 6
SENDER_SILENT = 1 << 7
RACED = 1 << 8
RST_TWICE = 1 << 9
RST_BOTH = 1 << 10  # the other end sent one too

# RARE.odd
LATE_SYN = 32  # the first SYN is not the first packet
SYNACK_FIRST = 64  # a SYN-ACK came before the SYN

# RARE.marks
SYN_ACKED = 1 << 0  # 2 bits: the end's SYN was acknowledged after the SYNs of both
RESET_FIRST = 1 << 2  # 2 bits: the end's first SYN-ACK came after every effective RST
PROVOKED = 1 << 4  # 2 bits: the last packet was the end's, and a bare ACK of the other would challenge it
CHALLENGED = 1 << 6
QUOTED_HI = 1 << 7

# INFO.count (SYN, SYN-ACK), CLOSE.count (FIN, RST, less 4) and RARE.carry, plus direction
N_SYN, N_SYNACK, N_FIN, N_RST = 0, 2, 4, 6

# GAP.what: PacketKind of the packet that ended the silence, and
NEXT_HI = 1 << 3  # its direction
UNACKED = 1 << 4  # something that an end sent was not acknowledged
STALLED = 1 << 5  # a window of 0, or three packets or more that only repeat
FIN_AGAIN = 1 << 6
LONGEST = 1 << 7  # of its phase so far
GAP_STATE = UNACKED | STALLED | FIN_AGAIN

# RETRY.what: PacketKind, direction (NEXT_HI), and
ANSWERED = 1 << 4  # a SYN-ACK had come before

# kinds of INFO.history
L_SYN, L_SYNACK, L_ACK, L_DATA, L_FIN, L_RST, L_FIN_RST, L_MULTI = range(8)
LETTERS = "SHADFRIQ"

MAX_GAPS = 64  # of one session
MAX_HOLES = 1024  # of one session
MAX_RETRIES = 24  # of one session; Linux tries 6 SYNs and 5 SYN-ACKs more
GAP_FLOOR_NS = 1_000_000_000  # silences that enter the gap profile
OPEN_GAP_FLOOR_NS = (
    5_000_000_000  # while established or mid-stream: no known box has a shorter idle timer there
)

hot_at = record_at(HOT)
key_at = record_at(KEY)
info_at = record_at(INFO)
close_at = record_at(CLOSE)
rare_at = record_at(RARE)
proof_at = record_at(PROOF)
after_at = record_at(AFTER)
gap_at = record_at(GAP)
mark_at = record_at(MARK)
retry_at = record_at(RETRY)
node_at = record_at(NODE)
pool_at = record_at(POOL)
table_at = record_at(TABLE)
segment_at = record_at(SEGMENT)
piece_at = record_at(PIECE)

S_SESSION, S_CLOSE, S_RARE = SESSION.itemsize, CLOSE.itemsize, RARE.itemsize
TO_KEY, TO_INFO = HOT.itemsize, HOT.itemsize + KEY.itemsize  # from the start of a SESSION
S_PROOF, S_AFTER, S_MARK, S_RETRY = PROOF.itemsize, AFTER.itemsize, MARK.itemsize, RETRY.itemsize
S_GAP, S_NODE, S_SEGMENT, S_PIECE = GAP.itemsize, NODE.itemsize, SEGMENT.itemsize, PIECE.itemsize
