"""Marks: what had been sent when a half-closed session passed certain ages, for timers that nothing renews.

Written from docs/reference/definitions.md, section 7. Several ages that pass in one silence share an item.
"""

from __future__ import annotations

from typing import Any

from lastack.kernels._jit import helper
from lastack.kernels.decode_words import i64
from lastack.kernels.layout import BOTH_FINS, RST_SEEN
from lastack.kernels.pool import close_of, mark_of, rare_of, take
from lastack.model.units import NS_PER_S

#: Ages in seconds.
AGES = (
    1,
    2,
    5,
    10,
    15,
    20,
    30,
    45,
    60,
    90,
    120,
    180,
    240,
    300,
    600,
    900,
    1200,
    1800,
    3600,
    7200,
    14400,
    86400,
)
N_AGES = len(AGES)


@helper
def note_marks(t: Any, h: Any, k: Any, i: Any, now_ns: Any) -> Any:
    """Account for the ages that a half-closed session has passed, before the packet itself is counted."""
    flags = i64(h.bits)
    fins = flags & BOTH_FINS
    if fins == 0 or fins == BOTH_FINS or flags & (3 * RST_SEEN):
        return
    c = close_of(t, k)
    low = i64(c.marked)
    age_ns = now_ns - c.fin1_ns
    high = low
    while high < N_AGES and c.mark_full == 0 and age_ns > AGES[high] * NS_PER_S:
        high += 1
    if high == low:
        return
    index = take(t.mark)
    if index == 0:
        t.lost_marks = t.lost_marks + high - low
        c.mark_full = 1
        return
    c.marked = high
    m = mark_of(t, index)
    r = rare_of(t, i)
    for d in range(2):
        m.bytes[d] = h.bytes[d]
        m.packets[d] = h.packets[d]
        m.carry[d] = min(i64(r.packet_carry[d]), i64(255))
    m.low = low
    m.high = high
    m.next = c.mark
    c.mark = index
