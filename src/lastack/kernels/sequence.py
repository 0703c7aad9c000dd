"""Sequence numbers: which positions of a direction were seen, and what of a segment is new.

SYN and FIN occupy positions as payload does. Seen is everything from the lowest to the highest position but for
the holes. Comparisons are serial (RFC 9293, 3.4): relative to the highest position, so a stream may be any length.
"""

from __future__ import annotations

from typing import Any

from lastack.kernels._jit import helper
from lastack.kernels.decode_words import i64
from lastack.kernels.layout import HOLES, ISN, MASK32, MAX_HOLES, SEQ_SENT, WRAPPED
from lastack.kernels.pool import give_back, need_rare, node_of, rare_of, take


@helper
def ahead(a: Any, b: Any) -> Any:
    """Return how far sequence number a is ahead of b, negative when it is behind."""
    return ((i64(a) - i64(b) + 0x80000000) & MASK32) - 0x80000000


@helper
def between(value: Any, low: Any, high: Any) -> Any:
    """Return whether low <= value <= high, going up from low."""
    return ((i64(value) - i64(low)) & MASK32) <= ((i64(high) - i64(low)) & MASK32)


@helper
def _add_hole(t: Any, h: Any, i: Any, d: Any, low: Any, high: Any) -> Any:
    r = need_rare(t, i)
    node = i64(0)
    if i64(r.n_holes) < MAX_HOLES:
        node = take(t.node)
    if node == 0:
        t.lost_holes = t.lost_holes + 1
        return
    n = node_of(t, node)
    n.low = low & MASK32
    n.high = high & MASK32
    n.next = r.holes[d]
    r.holes[d] = node
    r.n_holes = i64(r.n_holes) + 1
    h.bits = i64(h.bits) | HOLES


@helper
def _fill_holes(t: Any, h: Any, i: Any, d: Any, low: Any, high: Any) -> Any:
    """Mark [low, high) as seen where it was not; return how many positions that were."""
    if (i64(h.bits) & HOLES) == 0:
        return i64(0)
    r = rare_of(t, i)
    filled = i64(0)
    previous = i64(0)
    index = i64(r.holes[d])
    while index != 0:
        n = node_of(t, index)
        following = i64(n.next)
        size = ahead(n.high, n.low)
        start = max(ahead(low, n.low), i64(0))  # of the overlap, counted from the hole's low end
        stop = min(ahead(high, n.low), size)
        if start >= stop:
            previous = index
        else:
            filled += stop - start
            base = i64(n.low)
            if start > 0 and stop < size:
                n.high = (base + start) & MASK32
                _add_hole(t, h, i, d, base + stop, base + size)
                previous = index
            elif start > 0:
                n.high = (base + start) & MASK32
                previous = index
            elif stop < size:
                n.low = (base + stop) & MASK32
                previous = index
            else:
                if previous != 0:
                    node_of(t, previous).next = following
                else:
                    r.holes[d] = following
                give_back(t.node, index)
                r.n_holes = i64(r.n_holes) - 1
        index = following
    return filled


@helper
def seen(t: Any, h: Any, k: Any, i: Any, d: Any, position: Any) -> Any:
    """Return whether a position of the direction was seen before (positions before a known ISN count as seen)."""
    flags = i64(h.bits)
    if (flags & (SEQ_SENT << d)) == 0 or ahead(position, h.end[d]) >= 0:
        return False
    wrapped = (i64(k.steps) >> (4 * d)) & WRAPPED
    if wrapped == 0 and ahead(position, i.first[d]) < 0:
        return (flags & (ISN << d)) != 0
    if flags & HOLES:
        index = i64(rare_of(t, i).holes[d])
        while index != 0:
            n = node_of(t, index)
            if ahead(position, n.low) >= 0 and ahead(position, n.high) < 0:
                return False
            index = i64(n.next)
    return True


@helper
def _advance(h: Any, k: Any, i: Any, d: Any, end: Any) -> Any:
    h.end[d] = end & MASK32
    if ((end - i64(i.first[d])) & MASK32) >= 0x80000000:
        k.steps = i64(k.steps) | (WRAPPED << (4 * d))


@helper
def occupy(t: Any, h: Any, k: Any, i: Any, d: Any, start: Any, size: Any) -> Any:
    """Mark [start, start + size) of a direction as seen; return how many of those positions are new.

    A first segment sets both ends; size 0 still says how far its sender is.
    """
    flags = i64(h.bits)
    end = start + size
    if (flags & (SEQ_SENT << d)) == 0:
        h.bits = flags | (SEQ_SENT << d)
        i.first[d] = start & MASK32
        h.end[d] = end & MASK32
        return size
    beyond = ahead(start, h.end[d])
    if beyond >= 0:
        if i.first[d] == h.end[d] and (i64(k.steps) >> (4 * d)) & WRAPPED == 0:
            # nothing was occupied so far: what lies before is not a hole
            i.first[d] = start & MASK32
        elif beyond > 0:
            _add_hole(t, h, i, d, i64(h.end[d]), start)
        _advance(h, k, i, d, end)
        return size
    if size == 0:
        return i64(0)
    new = i64(0)
    stop = end
    over = ahead(end, h.end[d])
    if over > 0:
        new += over
        stop = end - over
    low = start
    wrapped = (i64(k.steps) >> (4 * d)) & WRAPPED
    below = -ahead(start, i.first[d])
    if wrapped == 0 and below > 0:
        low = start + min(below, stop - start)
        if (flags & (ISN << d)) == 0:
            new += low - start
            old_first = i64(i.first[d])
            i.first[d] = start & MASK32
            if below > stop - start:
                _add_hole(t, h, i, d, stop, old_first)
            _advance(h, k, i, d, i64(h.end[d]))
    if low < stop:
        new += _fill_holes(t, h, i, d, low, stop)
    if over > 0:
        _advance(h, k, i, d, end)
    return new


@helper
def learn_isn(t: Any, h: Any, i: Any, d: Any, isn: Any) -> Any:
    """Take a sequence number as the direction's ISN, after its packet was placed; what lies before it is no hole."""
    i.first[d] = isn
    _fill_holes(t, h, i, d, i64(isn) - 0x7FFFFFFF, i64(isn))
    h.bits = i64(h.bits) | (ISN << d)


@helper
def hole_below(t: Any, h: Any, i: Any, d: Any, position: Any) -> Any:
    """Return whether a range below a position was never seen."""
    if i64(h.bits) & HOLES:
        index = i64(rare_of(t, i).holes[d])
        while index != 0:
            n = node_of(t, index)
            if ahead(position, n.low) > 0:
                return True
            index = i64(n.next)
    return False


@helper
def hole_bytes(t: Any, h: Any, i: Any, d: Any) -> Any:
    """Return how many positions between the lowest and the highest were never seen."""
    size = i64(0)
    if i64(h.bits) & HOLES:
        index = i64(rare_of(t, i).holes[d])
        while index != 0:
            n = node_of(t, index)
            size += ahead(n.high, n.low)
            index = i64(n.next)
    return size
