"""A box at work, compiled: one segment after another through the entries; docs/explain/timers.md.

`offer` is one segment, for a live box; `offer_many` runs an array; `lastack.kernels.expiry_replay` joins it to the
tracker. The answer is a number: action, reason << 4, phase << 8; MORE asks to empty the log of ended entries (or to
give more memory) and to offer the same segment again.
"""

from __future__ import annotations

from typing import Any

from lastack.kernels._jit import helper, kernel, load_le32, prefetch, store_u32
from lastack.kernels.decode_words import i64
from lastack.kernels.expiry_flags import (
    ADOPTED_R,
    DROP,
    FORWARD,
    FULL_R,
    MADE_R,
    NO_ENTRY_R,
    PASSED_R,
    PICKED_R,
    RESET,
    RESTARTED_R,
    SEG_RST,
    SEG_SYN,
    SEG_SYNACK,
    answer,
    begin_flags,
    offer_flags,
    seg_of,
)
from lastack.kernels.expiry_layout import NEVER_NS, S_ENTRY, S_RULES, TICK_SHIFT, WHEEL, gate_at, rules_at
from lastack.kernels.expiry_linux import begin_linux, begins_linux, offer_linux
from lastack.kernels.expiry_table import (
    DELETED,
    EXPIRED,
    choose_table,
    deadline,
    end_entry,
    entry_of,
    find_entry,
    has_room,
    look,
    put_slot,
    rewind_wheel,
    rules_of,
    sweep,
)
from lastack.kernels.layout import S_SEGMENT, segment_at
from lastack.model.batch import META_FROM_HI

MORE = -1
BATCH = 256
NOBODY = 2


@helper
def _without(b: Any, g: Any, d: Any, session: Any, adopt: Any, opener: Any, now: Any) -> Any:
    """Decide about a segment that meets no entry; `opener` is the direction of the inside, NOBODY if not known."""
    kind = i64(seg_of(g))
    outside = 1 if opener != NOBODY and opener != d else 0
    first = i64(d)
    if kind == SEG_SYNACK or (outside and kind != SEG_SYN):
        first = i64(1 - d)
    table = choose_table(b, g, first)
    r = rules_at(b.rules + table * S_RULES)
    adopt = adopt and kind != SEG_RST and kind != SEG_SYN
    if r.linux:
        if not (kind == SEG_SYNACK or adopt):
            first = i64(d)
        begins = begins_linux(r, g, adopt)
        if begins == 0:
            if i64(r.no_session[kind * 2 + (1 if d != first else 0)]) == 1 and kind != SEG_RST:
                return answer(RESET, NO_ENTRY_R, 0)
            if r.drop_invalid:
                return answer(DROP, NO_ENTRY_R, 0)
            return answer(FORWARD, PASSED_R, 0)
        room = has_room(b)
        if room == 2:
            return i64(MORE)
        if room == 0:
            return answer(DROP, FULL_R, 0)
        index = begin_linux(b, g, d, first, begins == 2, table, now)
        entry_of(b, index).session = session
        phase = (offer_linux(b, index, d, g, now) >> 8) & 255
        if begins == 2:
            return answer(FORWARD, ADOPTED_R, phase)
        return answer(FORWARD, MADE_R if kind == SEG_SYN else PICKED_R, phase)
    what = i64(r.no_session[kind * 2 + outside])
    if adopt:
        what = i64(2)
    if what == 0:
        return answer(DROP, NO_ENTRY_R, 0)
    if what == 1:
        return answer(DROP if kind == SEG_RST else RESET, NO_ENTRY_R, 0)
    if what == 3 or kind == SEG_RST:
        return answer(FORWARD, PASSED_R, 0)
    room = has_room(b)
    if room == 2:
        return i64(MORE)
    if room == 0:
        return answer(DROP, FULL_R, 0)
    index = begin_flags(b, g, d, first, kind, adopt, table, now)
    entry_of(b, index).session = session
    reason = PICKED_R
    if kind == SEG_SYN:
        reason = MADE_R
    elif adopt:
        reason = ADOPTED_R
    return answer(FORWARD, reason, entry_of(b, index).phase)


@helper
def needs_memory(b: Any) -> Any:
    """Return whether the log must be emptied, or slots or entries doubled, before another segment is offered."""
    crowded = (b.filled + 2) * 10 > (b.mask + 1) * 7
    return b.n_log + 4 >= b.log_capacity or crowded or (b.free == 0 and b.records + 2 >= b.capacity)


@helper
def offer_one(b: Any, g: Any, session: Any, fresh: Any, adopt: Any, opener: Any) -> Any:
    """Return what the box does with a segment: action, reason << 4, phase << 8; MORE to be asked again."""
    if needs_memory(b):
        return i64(MORE)
    now = i64(g.ts_ns)
    if now > b.now_ns:
        b.now_ns = now
    if b.wheel != 0:
        now = i64(b.now_ns)
        if not sweep(b, False) or not look(b):
            return i64(MORE)
    d = 1 if i64(g.meta) & META_FROM_HI else 0
    index = find_entry(b, g)
    if index != 0:
        e = entry_of(b, index)
        now = max(now, i64(e.latest_ns))
        due = deadline(b, e)
        if now >= due:
            end_entry(b, index, due, EXPIRED)
            now = i64(g.ts_ns)
            if b.wheel != 0:
                now = i64(b.now_ns)
        else:
            e.latest_ns = now
            if fresh:
                e.session = session
            result = i64(MORE)
            if rules_of(b, e).linux:
                result = offer_linux(b, index, d, g, now)
            else:
                result = offer_flags(b, index, d, g, now)
            if result >= 0:
                return result
            result = _without(b, g, d, session, False, NOBODY, now)
            if (result & 15) == FORWARD and ((result >> 4) & 15) == MADE_R:
                return answer(FORWARD, RESTARTED_R, (result >> 8) & 255)
            return result
    return _without(b, g, d, session, adopt, opener, now)


@helper
def count_answer(b: Any, result: Any) -> Any:
    """Count an answer by action and reason."""
    place = (result & 3) * 16 + ((result >> 4) & 15)
    b.reasons[place] = b.reasons[place] + 1


@kernel
def offer(gate: Any, segment: Any, opener: Any) -> Any:
    """Return what a live box does with one segment.

    Args:
        gate: Address of the GATE.
        segment: Address of the SEGMENT; its time is now.
        opener: Direction of the inside (0 or 1), 2 if there is none.
    """
    b = gate_at(gate)
    result = offer_one(b, segment_at(segment), i64(0), False, False, i64(opener))
    if result >= 0:
        count_answer(b, result)
    return result


@kernel
def offer_many(gate: Any, segments: Any, start: Any, n: Any, facts: Any, answers: Any) -> Any:
    """Run segments [start, n) through a box; return where it stopped: n, or the segment that asks for MORE.

    Args:
        gate: Address of the GATE.
        segments: Address of SEGMENTs, in order.
        start: First of them.
        n: After the last.
        facts: For each segment session << 8 | opener << 2 | adopt << 1 | fresh (u8 array): see `offer_one`.
        answers: For each segment the answer (i4 array).
    """
    b = gate_at(gate)
    for j in range(start, n):
        g = segment_at(segments + j * S_SEGMENT)
        fact = i64(facts[j])
        result = offer_one(b, g, fact >> 8, (fact & 1) != 0, (fact & 2) != 0, (fact >> 2) & 3)
        if result < 0:
            return j
        count_answer(b, result)
        answers[j] = result
    return n


@helper
def prefetch_slot(b: Any, g: Any) -> Any:
    """Ask for the slot of a segment's tuple."""
    prefetch(b.slots + ((i64(g.hash) & b.mask) * 8))


@helper
def prefetch_entry(b: Any, g: Any) -> Any:
    """Ask for the entry that a segment's tuple probably has."""
    tag = i64(g.hash)
    place = tag & b.mask
    while True:
        slot = b.slots + place * 8
        index = i64(load_le32(slot))
        if index == 0:
            return
        if i64(load_le32(slot + 4)) == tag:
            e = b.entries + index * S_ENTRY
            prefetch(e)
            prefetch(e + 64)
            prefetch(e + 128)
            return
        place = (place + 1) & b.mask


@kernel
def advance(gate: Any, now_ns: Any) -> Any:
    """End what has expired by a time; return whether it is done (else empty the log and ask again)."""
    b = gate_at(gate)
    if now_ns > b.now_ns:
        b.now_ns = now_ns
    if b.n_log + 4 >= b.log_capacity:
        return False
    return look(b) and sweep(b, True)


@kernel
def next_deadline(gate: Any) -> Any:
    """Return when the box next has something to look at, in ns: never later than the first entry is due."""
    b = gate_at(gate)
    if b.wheel == 0 or b.live == 0:
        return i64(NEVER_NS)
    for k in range(WHEEL):
        tick = b.tick + k
        if load_le32(b.wheel + (tick & (WHEEL - 1)) * 4) != 0:
            return max((tick << TICK_SHIFT), b.now_ns)
    return i64(NEVER_NS)


@kernel
def flush(gate: Any, now_ns: Any, first: Any) -> Any:
    """End every entry from an index on: as expired if it was due by a time, else as open; return the next index.

    Returns the number of records + 1 when done, an earlier index when the log is full.
    """
    b = gate_at(gate)
    for index in range(first, b.records + 1):
        if b.n_log + 4 >= b.log_capacity:
            return index
        e = entry_of(b, index)
        if e.alive:
            due = deadline(b, e)
            if due <= now_ns:
                end_entry(b, index, due, EXPIRED)
            else:
                end_entry(b, index, i64(NEVER_NS), 0)
    return b.records + 1


@kernel
def clear(gate: Any, first: Any) -> Any:
    """End every entry from an index on as deleted; return the next index, or the number of records + 1."""
    b = gate_at(gate)
    for index in range(first, b.records + 1):
        if b.n_log + 4 >= b.log_capacity:
            return index
        if entry_of(b, index).alive:
            end_entry(b, index, b.now_ns, DELETED)
    return b.records + 1


@kernel
def regrow(old_slots: Any, old_mask: Any, gate: Any) -> Any:
    """Copy every filled slot of an old array into the table's new, empty one."""
    b = gate_at(gate)
    b.filled = 0
    for position in range(old_mask + 1):
        slot = old_slots + position * 8
        index = i64(load_le32(slot))
        if index != 0:
            put_slot(b, i64(load_le32(slot + 4)), index)


@kernel
def rewind(gate: Any) -> Any:
    """Put every entry where the present timers want it on the wheel, after the rules were changed."""
    rewind_wheel(gate_at(gate))
    return 0


@kernel
def clear_wheel(gate: Any, now_ns: Any) -> Any:
    """Set the wheel to a time, before the first segment."""
    b = gate_at(gate)
    b.tick = now_ns >> TICK_SHIFT
    for k in range(WHEEL):
        store_u32(b.wheel + k * 4, 0)
