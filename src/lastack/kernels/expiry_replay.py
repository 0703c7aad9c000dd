"""A box behind the tracker: each segment is placed in its session, offered to the box, and told to the session's fate.

The tracker is used as it is, one segment at a time, with the memory of both tables asked for ahead. A session of the
tracker that begins in mid-stream was under way when the input began: its entry is adopted.
"""

from __future__ import annotations

from typing import Any

from lastack.kernels._jit import helper, kernel, load_le32, prefetch, store_u32
from lastack.kernels.decode_words import i64
from lastack.kernels.expiry import (
    BATCH,
    NOBODY,
    count_answer,
    needs_memory,
    offer_one,
    prefetch_entry,
    prefetch_slot,
)
from lastack.kernels.expiry_flags import (
    FORWARD,
    FULL_R,
    INVALID_R,
    NO_ENTRY_R,
    PASSED_R,
    UNBELIEVED_R,
)
from lastack.kernels.expiry_layout import FULL, HAD, LACKING, S_FATE, S_LIFE, fate_at, gate_at, life_at
from lastack.kernels.flowtable import find
from lastack.kernels.layout import (
    CLIENT_HI,
    S_SEGMENT,
    S_SESSION,
    SYN_SEEN,
    SYNACK_SEEN,
    TO_KEY,
    segment_at,
    table_at,
)
from lastack.kernels.pool import hot_of, info_of, rare_of
from lastack.kernels.track import track
from lastack.model.batch import FIN, META_FROM_HI, META_ICMP, RST

#: Why `replay` stopped: everything was done; the box asks for memory; the tracker has no room.
DONE, BOX_MORE, TRACKER_FULL = 0, 1, 2
# places in `state`
STATUS, PENDING, SESSION, FRESH, TOLD, ADOPT, ORIGIN_ADD = range(7)


@helper
def _packets(t: Any, index: Any) -> Any:
    if index == 0:
        return i64(0)
    h = hot_of(t, index)
    return i64(h.packets[0]) + i64(h.packets[1])


@helper
def _opener(t: Any, session: Any) -> Any:
    """Return the direction of the end that opened a session, as SYNs and SYN-ACKs tell it; NOBODY without."""
    bits = i64(hot_of(t, session).bits)
    if bits & (3 * SYN_SEEN | 3 * SYNACK_SEEN):
        return i64(1 if bits & CLIENT_HI else 0)
    return i64(NOBODY)


@helper
def _tell_ends(b: Any, fates: Any, state: Any) -> Any:
    """Note the entries that ended since the last call in their sessions' fates."""
    k = i64(state[TOLD])
    while k < b.n_log:
        life = life_at(b.log + k * S_LIFE)
        f = fate_at(fates + i64(life.session) * S_FATE)
        f.last_ns = life.gone_ns
        f.last_phase = life.phase
        f.last_timer = life.timer
        f.last_table = life.table
        f.last_why = life.why
        f.lives = i64(f.lives) + 1
        k += 1
    state[TOLD] = k


@helper
def _tell(f: Any, g: Any, result: Any, origin_add: Any) -> Any:
    """Note an answer in the fate of the segment's session."""
    action, reason = result & 15, (result >> 4) & 15
    state = i64(f.state)
    if reason == NO_ENTRY_R or reason == FULL_R:
        if reason == FULL_R:
            state |= FULL
        if state & (HAD | FULL):
            if (state & LACKING) == 0:
                state |= LACKING
                f.first = g.origin + origin_add
                f.first_ns = g.ts_ns
                f.gone_ns = f.last_ns if i64(f.lives) > 0 else g.ts_ns
                f.phase = f.last_phase
                f.timer = f.last_timer
                f.table = f.last_table
                f.why = f.last_why
            d = 1 if i64(g.meta) & META_FROM_HI else 0
            tcp = i64(g.tcp_flags)
            f.refused[d] = i64(f.refused[d]) + 1
            if tcp & RST:
                f.rsts[d] = i64(f.rsts[d]) + 1
            else:
                f.lost[d] = f.lost[d] + i64(g.payload)
            if tcp & FIN:
                f.fins[d] = i64(f.fins[d]) + 1
    elif reason != PASSED_R:
        state |= HAD
        if (reason == UNBELIEVED_R or reason == INVALID_R) and action != FORWARD:
            f.denied = i64(f.denied) + 1
    f.state = state


@helper
def _place(t: Any, table: Any, segments: Any, j: Any, g: Any, state: Any) -> Any:
    """Let the tracker place a segment; return False if it has no room."""
    before = find(t, g)
    had = _packets(t, before)
    if track(table, segments, j, j + 1) == j:
        return False
    session = find(t, g)
    fresh = session != before
    if not fresh and _packets(t, session) == had:
        session = i64(rare_of(t, info_of(t, session)).shadow)
    state[PENDING] = 1
    state[SESSION] = session
    state[FRESH] = 1 if fresh else 0
    return True


@helper
def _prefetch_session(t: Any, g: Any) -> Any:
    tag = i64(g.hash)
    place = tag & t.mask
    while True:
        slot = t.slots + place * 8
        index = i64(load_le32(slot))
        if index == 0:
            return
        if i64(load_le32(slot + 4)) == tag:
            session = t.sessions + index * S_SESSION
            prefetch(session)
            prefetch(session + TO_KEY)
            return
        place = (place + 1) & t.mask


@kernel
def replay(
    table: Any,
    gate: Any,
    fates: Any,
    segments: Any,
    start: Any,
    n: Any,
    state: Any,
    answers: Any,
    sessions: Any,
) -> Any:
    """Run segments [start, n) through tracker and box; return where it stopped; `state[STATUS]` says why.

    Args:
        table: Address of the shard's TABLE.
        gate: Address of the box's GATE.
        fates: Address of FATEs, by record index of the tracker.
        segments: Address of SEGMENTs.
        start: First of them.
        n: After the last.
        state: i8 array of 8, kept between calls; ADOPT and ORIGIN_ADD are the caller's. TOLD is to be 0 again when the
            log was emptied.
        answers: Address of i4, the answer to each segment from the array's first on (-1: no segment of a session).
        sessions: Address of u4, the record index of each segment's session; 0 for none.
    """
    t, b = table_at(table), gate_at(gate)
    position = i64(start)
    while position < n:
        size = min(i64(BATCH), n - position)
        base = segments + position * S_SEGMENT
        for j in range(size):
            g = segment_at(base + j * S_SEGMENT)
            prefetch(t.slots + ((i64(g.hash) & t.mask) * 8))
            prefetch_slot(b, g)
        for j in range(size):
            g = segment_at(base + j * S_SEGMENT)
            _prefetch_session(t, g)
            prefetch_entry(b, g)
        for j in range(position, position + size):
            g = segment_at(segments + j * S_SEGMENT)
            if i64(g.meta) & META_ICMP:
                track(table, segments, j, j + 1)
                store_u32(answers + j * 4, 0xFFFFFFFF)
                store_u32(sessions + j * 4, 0)
                continue
            if needs_memory(b):
                state[STATUS] = BOX_MORE
                return j
            if state[PENDING] == 0 and not _place(t, table, segments, j, g, state):
                state[STATUS] = TRACKER_FULL
                return j
            session = i64(state[SESSION])
            fresh = state[FRESH] != 0
            adopt = fresh and state[ADOPT] != 0
            result = offer_one(b, g, session, fresh, adopt, _opener(t, session))
            _tell_ends(b, fates, state)
            if result < 0:
                state[STATUS] = BOX_MORE
                return j
            state[PENDING] = 0
            count_answer(b, result)
            _tell(fate_at(fates + session * S_FATE), g, result, state[ORIGIN_ADD])
            store_u32(answers + j * 4, result)
            store_u32(sessions + j * 4, session)
        position += size
    state[STATUS] = DONE
    return n
