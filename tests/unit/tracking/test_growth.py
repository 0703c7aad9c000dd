"""A shard's hash table grows: sessions stay where their next packet finds them."""

from __future__ import annotations

import numpy as np

from lastack.model.batch import SEGMENT, SYN
from lastack.tracking.shard import Shard, pieces_of

SESSIONS = 40


def test_sessions__are_found_again_after_the_table_has_grown():
    segments = np.zeros(SESSIONS, SEGMENT)
    segments["ports"] = np.arange(SESSIONS) + (1 << 16)
    segments["hash"] = (np.arange(SESSIONS) * 0x9E3779B1) & 0xFFFFFFFF
    segments["tcp_flags"] = SYN
    shard = Shard(1 << 10, 1 << 60)
    assert shard.feed(pieces_of([(segments.ctypes.data, SESSIONS, 0)])) == 1
    slots = int(shard.control["mask"][0]) + 1
    shard._grow()
    assert int(shard.control["mask"][0]) + 1 > slots
    assert int(shard.control["filled"][0]) == SESSIONS
    assert shard.feed(pieces_of([(segments.ctypes.data, SESSIONS, 0)])) == 1
    assert shard.live == SESSIONS
