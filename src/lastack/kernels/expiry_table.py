"""The table of a box's entries: finding, making and ending them, and the clocks that end them.

Linear probing over eight-byte slots (index, hash), as the flow table. With a limit, or live, a wheel of 4096 slots of
67 ms holds the entries by the time at which they are looked at next: never later than they are due, so a packet that
moves a deadline away needs no work. Entries of a phase form a list in the order in which they came to it.
"""

from __future__ import annotations

from typing import Any

from lastack.kernels._jit import helper, load_le32, store_u32, store_u64
from lastack.kernels.decode_words import i64
from lastack.kernels.expiry_layout import (
    NEVER_NS,
    S_ENTRY,
    S_LIFE,
    S_NET,
    S_RULES,
    S_SELECTOR,
    TICK_SHIFT,
    WHEEL,
    entry_at,
    life_at,
    net_at,
    rules_at,
    selector_at,
)

EXPIRED, RESTARTED, EVICTED, DELETED = 1, 2, 3, 4


@helper
def entry_of(b: Any, index: Any) -> Any:
    """Return an ENTRY."""
    return entry_at(b.entries + index * S_ENTRY)


@helper
def rules_of(b: Any, e: Any) -> Any:
    """Return the RULES that an entry runs on."""
    return rules_at(b.rules + i64(e.table) * S_RULES)


@helper
def same_tuple(e: Any, g: Any) -> Any:
    """Return whether an entry's key is the segment's."""
    return e.lo1 == g.lo1 and e.hi1 == g.hi1 and e.ports == g.ports and e.lo0 == g.lo0 and e.hi0 == g.hi0


@helper
def find_entry(b: Any, g: Any) -> Any:
    """Return the index of the entry of the segment's tuple, or 0."""
    tag = i64(g.hash)
    position = tag & b.mask
    while True:
        slot = b.slots + position * 8
        index = i64(load_le32(slot))
        if index == 0:
            return i64(0)
        if i64(load_le32(slot + 4)) == tag and same_tuple(entry_of(b, index), g):
            return index
        position = (position + 1) & b.mask


@helper
def put_slot(b: Any, tag: Any, index: Any) -> Any:
    """Put an entry into the first empty slot of its chain."""
    position = tag & b.mask
    while load_le32(b.slots + position * 8) != 0:
        position = (position + 1) & b.mask
    store_u32(b.slots + position * 8, index)
    store_u32(b.slots + position * 8 + 4, tag)
    b.filled = b.filled + 1


@helper
def _clear_slot(b: Any, tag: Any, index: Any) -> Any:
    """Empty an entry's slot and shift its chain back (Knuth, TAOCP 3, 6.4, algorithm R)."""
    hole = tag & b.mask
    while i64(load_le32(b.slots + hole * 8)) != index:
        hole = (hole + 1) & b.mask
    position = hole
    while True:
        position = (position + 1) & b.mask
        slot = b.slots + position * 8
        other = load_le32(slot)
        if other == 0:
            break
        other_tag = load_le32(slot + 4)
        home = i64(other_tag) & b.mask
        if ((position - home) & b.mask) >= ((position - hole) & b.mask):
            store_u32(b.slots + hole * 8, other)
            store_u32(b.slots + hole * 8 + 4, other_tag)
            hole = position
    store_u32(b.slots + hole * 8, 0)
    b.filled = b.filled - 1


@helper
def deadline(b: Any, e: Any) -> Any:
    """Return when an entry ends if nothing comes, NEVER_NS or more for never."""
    ns = rules_of(b, e).ns[i64(e.clock)]
    if ns >= NEVER_NS:
        return i64(NEVER_NS)
    if b.factor != 1.0:
        ns = i64(ns * b.factor)
    return min(e.since[0], e.since[1]) + ns


@helper
def wheel_out(b: Any, e: Any) -> Any:
    """Take an entry off the wheel."""
    slot = i64(e.wheel_slot)
    if slot == 0:
        return
    following, previous = i64(e.wheel_next), i64(e.wheel_prev)
    if following != 0:
        entry_of(b, following).wheel_prev = previous
    if previous != 0:
        entry_of(b, previous).wheel_next = following
    else:
        store_u32(b.wheel + (slot - 1) * 4, following)
    e.wheel_slot = 0


@helper
def wheel_in(b: Any, e: Any, index: Any) -> Any:
    """Put an entry on the wheel, where it is looked at when it is due or after one turn."""
    due = deadline(b, e)
    if b.wheel == 0 or due >= NEVER_NS:
        return
    tick = min(max(due >> TICK_SHIFT, b.tick), b.tick + WHEEL - 1)
    slot = tick & (WHEEL - 1)
    head = i64(load_le32(b.wheel + slot * 4))
    e.wheel_next = head
    e.wheel_prev = 0
    e.wheel_slot = slot + 1
    if head != 0:
        entry_of(b, head).wheel_prev = index
    store_u32(b.wheel + slot * 4, index)


@helper
def run_clock(b: Any, e: Any, index: Any, clock: Any, now: Any) -> Any:
    """Start a timer of an entry."""
    if b.wheel == 0:
        e.clock = clock
        e.since[0] = now
        e.since[1] = now
        return
    before = deadline(b, e)
    e.clock = clock
    e.since[0] = now
    e.since[1] = now
    if i64(e.wheel_slot) == 0 or deadline(b, e) < before:
        wheel_out(b, e)
        wheel_in(b, e, index)


@helper
def list_out(b: Any, e: Any, phase: Any) -> Any:
    """Take an entry off the list of a phase."""
    following, previous = i64(e.list_next), i64(e.list_prev)
    if following != 0:
        entry_of(b, following).list_prev = previous
    else:
        b.tail[phase] = previous
    if previous != 0:
        entry_of(b, previous).list_next = following
    else:
        b.head[phase] = following


@helper
def list_in(b: Any, e: Any, index: Any, phase: Any) -> Any:
    """Put an entry at the end of the list of a phase."""
    last = i64(b.tail[phase])
    e.list_next = 0
    e.list_prev = last
    if last != 0:
        entry_of(b, last).list_next = index
    else:
        b.head[phase] = index
    b.tail[phase] = index


@helper
def set_phase(b: Any, e: Any, index: Any, phase: Any) -> Any:
    """Move an entry to a phase."""
    if b.n_evict > 0 and i64(e.phase) != phase:
        list_out(b, e, i64(e.phase))
        list_in(b, e, index, phase)
    e.phase = phase


@helper
def end_entry(b: Any, index: Any, at_ns: Any, why: Any) -> Any:
    """Take an entry out of the table and write it to the log; the caller has made sure that the log has room."""
    e = entry_of(b, index)
    life = life_at(b.log + b.n_log * S_LIFE)
    b.n_log = b.n_log + 1
    life.made_ns = e.made_ns
    life.gone_ns = at_ns
    life.lo0 = e.lo0
    life.lo1 = e.lo1
    life.hi0 = e.hi0
    life.hi1 = e.hi1
    life.ports = e.ports
    life.session = e.session
    for d in range(2):
        life.end[d] = e.end[d]
        life.ack[d] = e.ack[d]
    life.phase = e.phase
    life.timer = e.clock
    life.table = e.table
    life.why = why
    life.opener = e.opener
    wheel_out(b, e)
    if b.n_evict > 0:
        list_out(b, e, i64(e.phase))
    _clear_slot(b, i64(e.hash), index)
    e.alive = 0
    e.wheel_next = b.free
    b.free = index
    b.live = b.live - 1


@helper
def new_entry(b: Any, g: Any, now: Any) -> Any:
    """Return the index of a fresh entry with the segment's tuple; the caller has made sure that there is room."""
    index = i64(b.free)
    if index != 0:
        b.free = i64(entry_of(b, index).wheel_next)
    else:
        b.records = b.records + 1
        index = i64(b.records)
    address = b.entries + index * S_ENTRY
    for offset in range(0, S_ENTRY, 8):
        store_u64(address + offset, 0)
    e = entry_of(b, index)
    e.lo0 = g.lo0
    e.lo1 = g.lo1
    e.hi0 = g.hi0
    e.hi1 = g.hi1
    e.ports = g.ports
    e.hash = g.hash
    e.made_ns = now
    e.latest_ns = now
    e.closer = 2
    e.alive = 1
    put_slot(b, i64(g.hash), index)
    if b.n_evict > 0:
        list_in(b, e, index, 0)
    b.live = b.live + 1
    b.made = b.made + 1
    b.peak = max(b.peak, b.live)
    return index


@helper
def _sweep_slot(b: Any, slot: Any) -> Any:
    """Look at the entries of one slot of the wheel; return whether the log had room for those that ended."""
    index = i64(load_le32(b.wheel + slot * 4))
    store_u32(b.wheel + slot * 4, 0)
    while index != 0:
        e = entry_of(b, index)
        following = i64(e.wheel_next)
        e.wheel_slot = 0
        due = deadline(b, e)
        if due <= b.now_ns:
            if b.n_log + 4 >= b.log_capacity:
                # what is left goes back, to be looked at again
                while index != 0:
                    e = entry_of(b, index)
                    following = i64(e.wheel_next)
                    head = i64(load_le32(b.wheel + slot * 4))
                    e.wheel_next = head
                    e.wheel_prev = 0
                    e.wheel_slot = slot + 1
                    if head != 0:
                        entry_of(b, head).wheel_prev = index
                    store_u32(b.wheel + slot * 4, index)
                    index = following
                return False
            end_entry(b, index, due, EXPIRED)
        else:
            wheel_in(b, e, index)
        index = following
    return True


@helper
def sweep(b: Any, exact: Any) -> Any:
    """End what has expired by the time of the box, to the tick or exactly; return False if the log is full."""
    if b.wheel == 0:
        return True
    target = b.now_ns >> TICK_SHIFT
    if target - b.tick >= WHEEL:
        b.tick = target - WHEEL + 1
        # every slot is behind: none may be taken for one to come
    while b.tick < target:
        if not _sweep_slot(b, b.tick & (WHEEL - 1)):
            return False
        b.tick = b.tick + 1
        # an entry that was not due went to a slot from the tick before: never to the one just left
    if exact:
        return _sweep_slot(b, b.tick & (WHEEL - 1))
    return True


@helper
def rewind_wheel(b: Any) -> Any:
    """Put every entry where the present factor of the timers wants it on the wheel."""
    for index in range(1, b.records + 1):
        e = entry_of(b, index)
        if i64(e.wheel_slot) != 0:
            wheel_out(b, e)
            wheel_in(b, e, index)


@helper
def look(b: Any) -> Any:
    """Set the factor of the timers from the fill, every `scale_every_ns`; return False if the log is full."""
    if b.scale_from == 0 or b.now_ns < b.next_look_ns:
        return True
    if not sweep(b, True):
        return False
    b.next_look_ns = b.now_ns + b.scale_every_ns
    factor = 1.0
    if b.live > b.scale_from:
        factor = 1.0 / b.scale_by
        if b.scale_to > 0:
            factor = max(i64(0), b.scale_to - b.live) / (b.scale_to - b.scale_from)
    if factor != b.factor:
        b.factor = factor
        rewind_wheel(b)
    return sweep(b, True)


@helper
def has_room(b: Any) -> Any:
    """Return 1 if one more entry fits, 0 if not, 2 if the log is full; makes room where the box does so."""
    if b.limit == 0 or b.live < b.limit:
        return i64(1)
    if not sweep(b, True):
        return i64(2)
    if b.live < b.limit:
        return i64(1)
    for k in range(b.n_evict):
        index = i64(b.head[i64(b.evict[k])])
        if index != 0:
            end_entry(b, index, b.now_ns, EVICTED)
            return i64(1)
    return i64(0)


@helper
def _inside(b: Any, first: Any, n: Any, high: Any, low: Any) -> Any:
    if n == 0:
        return True
    for k in range(n):
        net = net_at(b.nets + (first + k) * S_NET)
        if (high & net.mask0) == net.net0 and (low & net.mask1) == net.net1:
            return True
    return False


@helper
def choose_table(b: Any, g: Any, opener: Any) -> Any:
    """Return the place of the rules that a new entry of an opener runs on."""
    ports = i64(g.ports)
    port = (ports & 0xFFFF) if opener == 0 else (ports >> 16)
    for k in range(b.n_selectors):
        s = selector_at(b.selectors + k * S_SELECTOR)
        if port < i64(s.low) or port > i64(s.high):
            continue
        if opener == 0:
            client = _inside(b, i64(s.client), i64(s.clients), g.lo0, g.lo1)
            server = _inside(b, i64(s.server), i64(s.servers), g.hi0, g.hi1)
        else:
            client = _inside(b, i64(s.client), i64(s.clients), g.hi0, g.hi1)
            server = _inside(b, i64(s.server), i64(s.servers), g.lo0, g.lo1)
        if client and server:
            return i64(s.table)
    return i64(0)
