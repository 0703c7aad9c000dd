"""Marks: silences of a half-closed session and what had been sent before them, for timers that nothing renews.

Written from docs/reference/definitions.md, section 7.
"""

from __future__ import annotations

from typing import Any

from lastack.kernels._jit import helper
from lastack.kernels.decode_words import i64
from lastack.kernels.layout import BOTH_FINS, RST_SEEN
from lastack.kernels.pool import carries, close_of, mark_of, rare_of, take
from lastack.model.units import NS_PER_S

#: Ages in seconds, the common lengths of timers: a silence that holds one is always kept.
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
MOST_OTHERS = 32  # marks of a session, from which on only those that hold an age are kept
SHORTEST_NS = 1_000_000


@helper
def note_marks(t: Any, h: Any, k: Any, i: Any, now_ns: Any) -> Any:
    """Account for the silence that a packet of a half-closed session ends, before the packet itself is counted."""
    flags = i64(h.bits)
    fins = flags & BOTH_FINS
    if fins == 0 or fins == BOTH_FINS or flags & (3 * RST_SEEN):
        return
    c = close_of(t, k)
    until = now_ns - c.fin1_ns
    since = h.end_ns - c.fin1_ns
    if until < NS_PER_S or until <= since:
        return
    low = i64(c.aged)
    high = low
    while high < N_AGES and AGES[high] * NS_PER_S <= until:
        high += 1
    if high > low:
        c.aged = high
    elif i64(c.marks) >= MOST_OTHERS or until - since < SHORTEST_NS:
        return
    index = take(t.mark)
    if index == 0:
        t.lost_marks = t.lost_marks + 1
        return
    c.marks = i64(c.marks) + 1
    m = mark_of(t, index)
    m.since = since
    m.until = until
    for d in range(2):
        m.bytes[d] = h.bytes[d]
        m.packets[d] = h.packets[d]
    m.carry = carries(rare_of(t, i))
    m.next = c.mark
    c.mark = index
