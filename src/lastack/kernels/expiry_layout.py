"""The records of a box at work: packed rules, entries, the log of ended entries, and the fate of each session.

`lastack.firewall.pack` writes RULES, SELECTOR and NET from a `Box`; `docs/explain/timers.md` says what they mean.
Directions are canonical (0: sent by `lo`, 1: sent by `hi`). Index 0 means "none".
"""

from __future__ import annotations

import numpy as np

from lastack.kernels._jit import record_at

TIMERS, PHASES, ACTS, WHO = 16, 16, 11, 4

#: One `firewall.table.Table`.
RULES = np.dtype(
    [
        ("ns", "i8", TIMERS),
        ("mode", "u1", TIMERS),
        ("refresh", "u1", TIMERS * 2),     # timer * 2 + 1 for the responder's segments
        ("timer_of", "u1", PHASES * 2),    # phase * 2 + 1 if the responder closed first
        ("no_session", "u1", 16),          # class of segment * 2 + 1 for the outside
        ("next", "u1", 496),               # (phase * ACTS + act) * WHO + who
        ("rst_check", "u1"), ("per_direction", "u1"), ("linux", "u1"), ("loose", "u1"),
        ("be_liberal", "u1"), ("ignore_invalid_rst", "u1"), ("drop_invalid", "u1"), ("max_retrans", "u1"),
    ]
)  # fmt: skip

SELECTOR = np.dtype(
    [
        ("low", "u2"), ("high", "u2"), ("table", "u4"),
        ("client", "u4"), ("clients", "u4"),  # first of its NETs and how many
        ("server", "u4"), ("servers", "u4"),
    ]
)  # fmt: skip

NET = np.dtype([("net0", "u8"), ("net1", "u8"), ("mask0", "u8"), ("mask1", "u8")])

#: One entry; three cache lines. Fields that both engines have under different names carry the shorter one.
ENTRY = np.dtype(
    [
        ("lo0", "u8"), ("lo1", "u8"), ("hi0", "u8"), ("hi1", "u8"),
        ("since", "i8", 2),       # when the running timer started, by direction
        ("ports", "u4"), ("hash", "u4"),
        ("bits", "u4"),           # bits below
        ("phase", "u1"), ("clock", "u1"), ("table", "u1"), ("opener", "u1"),
        ("latest_ns", "i8"),
        ("made_ns", "i8"),
        ("end", "u4", 2),         # highest sequence number sent, plus one; td_end
        ("ack", "u4", 2),         # highest acknowledgment sent; td_maxack
        ("isn", "u4", 2),
        ("fin", "u4", 2),         # position of the first FIN
        ("window", "u4", 2),      # last one, as sent; td_maxwin
        ("maxend", "u4", 2),      # td_maxend
        ("last_seq", "u4"), ("last_ack", "u4"), ("last_end", "u4"), ("last_win", "u4"),
        ("scale", "u1", 2), ("last_index", "u1"), ("last_dir", "u1"),
        ("retrans", "u1"), ("last_wscale", "u1"), ("closer", "u1"), ("alive", "u1"),
        ("session", "u4"),
        ("wheel_next", "u4"), ("wheel_prev", "u4"), ("wheel_slot", "u4"),  # slot + 1, 0 for not there
        ("list_next", "u4"), ("list_prev", "u4"), ("spare", "u4", 4),
    ]
)  # fmt: skip
assert ENTRY.itemsize == 192

#: An entry that ended.
LIFE = np.dtype(
    [
        ("made_ns", "i8"), ("gone_ns", "i8"),
        ("lo0", "u8"), ("lo1", "u8"), ("hi0", "u8"), ("hi1", "u8"),
        ("ports", "u4"),
        ("session", "u4"),
        ("end", "u4", 2), ("ack", "u4", 2),
        ("phase", "u1"), ("timer", "u1"), ("table", "u1"), ("why", "u1"),
        ("opener", "u1"), ("pad", "u1", 3),
    ]
)  # fmt: skip

#: What became of one session, so far.
FATE = np.dtype(
    [
        ("gone_ns", "i8"),       # when the entry ended whose lack the first refused packet met
        ("first_ns", "i8"),      # first packet refused for want of an entry
        ("first", "u8"),         # its origin, 0 for none
        ("lost", "i8", 2),       # payload refused
        ("refused", "u4", 2),
        ("fins", "u4", 2), ("rsts", "u4", 2),
        ("denied", "u4"),
        ("lives", "u4"),         # entries that ended
        ("phase", "u1"), ("timer", "u1"), ("table", "u1"), ("why", "u1"),  # of that entry
        ("state", "u1"),         # HAD, FULL, LACKING below
        ("last_phase", "u1"), ("last_timer", "u1"), ("last_table", "u1"),  # of the last entry that ended
        ("last_ns", "i8"),
        ("last_why", "u1"), ("pad", "u1", 7),
    ]
)  # fmt: skip

HAD, FULL, LACKING = 1, 2, 4

#: Control block of one table of entries.
GATE = np.dtype(
    [
        ("slots", "i8"), ("mask", "i8"), ("filled", "i8"),
        ("entries", "i8"), ("records", "i8"), ("capacity", "i8"), ("free", "i8"),
        ("live", "i8"), ("limit", "i8"),
        ("rules", "i8"), ("selectors", "i8"), ("n_selectors", "i8"), ("nets", "i8"),
        ("wheel", "i8"), ("tick", "i8"),   # address of the slots, 0 without; tick up to which it was swept
        ("now_ns", "i8"),
        ("scale_from", "i8"), ("scale_to", "i8"), ("scale_every_ns", "i8"), ("next_look_ns", "i8"),
        ("scale_by", "f8"), ("factor", "f8"),
        ("n_evict", "i8"), ("evict", "u1", 16), ("head", "u4", 16), ("tail", "u4", 16),
        ("log", "i8"), ("n_log", "i8"), ("log_capacity", "i8"),
        ("peak", "i8"), ("made", "i8"),
        ("reasons", "i8", 48),              # segments by Action * 16 + Reason
    ]
)  # fmt: skip

NEVER_NS = 1 << 62
TICK_SHIFT = 26  # 67 ms
WHEEL = 4096

# ENTRY.bits of the flags engine; two bits each, one for each direction
ISN, TOP, ACKED, FINS, SENT_SYN, SENT_SYNACK, SYN_ACKED, SCALED, HAS_SCALE, NEW_SYN = (
    1 << shift for shift in range(0, 20, 2)
)
# and of the Linux engine
WINDOW_SCALE, CLOSE_INIT, LIBERAL, UNACKED, MAXACK = (1 << shift for shift in range(0, 10, 2))
LAST_SCALE, CHALLENGE, SIMULTANEOUS, SEEN_REPLY, ASSURED = (1 << shift for shift in range(10, 15))

rules_at = record_at(RULES)
selector_at = record_at(SELECTOR)
net_at = record_at(NET)
entry_at = record_at(ENTRY)
life_at = record_at(LIFE)
fate_at = record_at(FATE)
gate_at = record_at(GATE)

S_RULES, S_SELECTOR, S_NET, S_ENTRY = RULES.itemsize, SELECTOR.itemsize, NET.itemsize, ENTRY.itemsize
S_LIFE, S_FATE = LIFE.itemsize, FATE.itemsize
