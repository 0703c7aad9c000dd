"""The `linux_conntrack` engine: what net/netfilter/nf_conntrack_proto_tcp.c of Linux 6.12 does with a segment.

The names are the kernel's. `d` is the canonical direction of the segment, `dir` in the kernel's sense is 0 from the
opener. SACK blocks are not in SEGMENT: where the kernel takes the highest SACKed number, this takes the
acknowledgment. The slow twin is `tests/naive/conntrack.py`; the judge of both is a real kernel.
"""

from __future__ import annotations

from typing import Any

from lastack.kernels._jit import helper
from lastack.kernels.decode_words import i64
from lastack.kernels.expiry_flags import (
    DROP,
    ENTRY_R,
    FORWARD,
    INVALID_R,
    answer,
)
from lastack.kernels.expiry_layout import (
    ASSURED,
    CHALLENGE,
    CLOSE_INIT,
    LAST_SCALE,
    LIBERAL,
    MAXACK,
    SEEN_REPLY,
    SIMULTANEOUS,
    UNACKED,
    WINDOW_SCALE,
)
from lastack.kernels.expiry_table import (
    DELETED,
    RESTARTED,
    deadline,
    end_entry,
    entry_of,
    new_entry,
    rules_of,
    run_clock,
    set_phase,
)
from lastack.kernels.expiry_window import (
    ACK_SET,
    CL,
    CW,
    ES,
    FIN_SET,
    FW,
    IGNORE,
    INVALID,
    LA,
    NONE_SET,
    RETRANS,
    RST_SET,
    S2,
    SR,
    SS,
    SYN_SET,
    SYNACK_SET,
    TW,
    UNACK,
    before,
    end_of,
    in_window,
    index_of,
    take_options,
)  # fmt: skip
from lastack.kernels.layout import MASK32
from lastack.model.batch import ACK, FIN, NO_WSCALE, RST, SYN

IV, IG = 98, 99
#: tcp_conntracks[dir][index][state], six rows of ten for each direction.
STATES = (
    SS, SS, IG, IG, IG, IG, IG, SS, SS, S2,
    IV, IV, SR, IV, IV, IV, IV, IV, IV, SR,
    IV, IV, FW, FW, LA, LA, LA, TW, CL, IV,
    ES, IV, ES, ES, CW, CW, TW, TW, CL, IV,
    IV, CL, CL, CL, CL, CL, CL, CL, CL, CL,
    IV, IV, IV, IV, IV, IV, IV, IV, IV, IV,
    IV, S2, IV, IV, IV, IV, IV, SS, IV, S2,
    IV, SR, IG, IG, IG, IG, IG, IG, IG, SR,
    IV, IV, FW, FW, LA, LA, LA, TW, CL, IV,
    IV, IG, SR, ES, CW, CW, TW, TW, CL, IG,
    IV, CL, CL, CL, CL, CL, CL, CL, CL, CL,
    IV, IV, IV, IV, IV, IV, IV, IV, IV, IV,
)  # fmt: skip
#: Bit (flags without PSH, ECE and CWR) of each combination that tcp_error() lets pass.
_VALID = 0
for _flags in (SYN, SYN | 32, SYN | ACK, RST, RST | ACK, FIN | ACK, FIN | ACK | 32, ACK, ACK | 32):
    _VALID |= 1 << _flags
VALID = _VALID
HANDLE_INVALID_NS = 120_000_000_000
GO_ON, UNCHECKED, KEEP_STATE, NOT_BELIEVED = 0, 1, 2, 3


@helper
def is_proper(g: Any) -> Any:
    """Return whether tcp_error() lets the combination of flags pass."""
    return (VALID >> (i64(g.tcp_flags) & 0x37)) & 1 != 0


@helper
def _note_ignored(e: Any, old: Any, g: Any, direction: Any, index: Any) -> Any:
    e.last_index = index
    e.last_dir = direction
    e.last_seq = g.seq
    e.last_end = end_of(g)
    e.last_win = g.window
    if index == SYN_SET and direction == 0:
        bits = i64(e.bits) & ~(LAST_SCALE | CHALLENGE | SIMULTANEOUS)
        e.last_wscale = 0
        if i64(g.wscale) != NO_WSCALE:
            bits |= LAST_SCALE
            e.last_wscale = min(i64(g.wscale), 14)
        if old == LA:
            bits |= CHALLENGE
        e.bits = bits
    if old == SS and index == ACK_SET and direction == 1:
        e.last_ack = g.ack


@helper
def _check_rst(r: Any, e: Any, old: Any, d: Any, g: Any, direction: Any) -> Any:
    """Return what the case TCP_CONNTRACK_CLOSE decides about a RST."""
    if FW <= old <= CL:
        return UNCHECKED
    o = 1 - d
    bits = i64(e.bits)
    seq = i64(g.seq)
    verdict = GO_ON
    if bits & (MAXACK << o) and i64(e.last_index) != SYN_SET:
        established = old == ES and (bits & ASSURED) != 0
        if seq == 0 and not established:
            return GO_ON
        if before(seq, e.ack[o]) and r.ignore_invalid_rst == 0:
            return NOT_BELIEVED
        if not established or seq == i64(e.ack[o]):
            return GO_ON
        if i64(e.last_index) == ACK_SET and i64(e.last_dir) == direction and seq == i64(e.last_end):
            return GO_ON
        verdict = KEEP_STATE
    # that the RST comes from the other end than what it answers is what 6.18 does (seen, not read)
    replied = (bits & SEEN_REPLY) != 0 and i64(e.last_index) == SYN_SET
    unsure = (bits & ASSURED) == 0 and i64(e.last_index) == ACK_SET
    if (replied or unsure) and i64(g.ack) == i64(e.last_end) and i64(e.last_dir) != direction:
        return UNCHECKED
    if old == SS and i64(e.last_index) == ACK_SET and i64(e.last_dir) == 1 and seq == i64(e.last_ack):
        return UNCHECKED
    return verdict


@helper
def _shorter(r: Any, cap: Any, than: Any) -> Any:
    return r.ns[cap] < r.ns[than]


@helper
def _choose_timer(r: Any, e: Any, index: Any) -> Any:
    state = i64(e.phase)
    if i64(e.retrans) >= i64(r.max_retrans) and _shorter(r, RETRANS, state):
        return i64(RETRANS)
    if index == RST_SET:
        return i64(CL)
    if i64(e.bits) & (3 * UNACKED) and _shorter(r, UNACK, state):
        return i64(UNACK)
    if e.last_win == 0 and _shorter(r, RETRANS, state):
        return i64(RETRANS)
    return state


@helper
def _handle_invalid(b: Any, r: Any, e: Any, at: Any, direction: Any, index: Any, now: Any) -> Any:
    if (i64(e.bits) & ASSURED) == 0 or (index != RST_SET and index != FIN_SET):
        return
    last = i64(e.last_index)
    if i64(e.last_dir) != direction and (last == FIN_SET or last == RST_SET):
        left = deadline(b, e) - now
        if left >= HANDLE_INVALID_NS and left > r.ns[UNACK]:
            run_clock(b, e, at, i64(UNACK), now)
    else:
        e.last_index = index
        e.last_dir = direction


@helper
def _invalid(r: Any, e: Any) -> Any:
    return answer(DROP if r.drop_invalid else FORWARD, INVALID_R, e.phase)


@helper
def _let_pass(e: Any, direction: Any) -> Any:
    """Return the answer for a segment that passes without a change of the entry."""
    if direction == 1:
        e.bits = i64(e.bits) | SEEN_REPLY
    return answer(FORWARD, ENTRY_R, e.phase)


@helper
def offer_linux(b: Any, at: Any, d: Any, g: Any, now: Any) -> Any:
    """Decide about a segment of an entry; -1 when the entry was ended and the segment begins a new one."""
    e = entry_of(b, at)
    r = rules_of(b, e)
    if not is_proper(g):
        return _invalid(r, e)
    direction = 1 if d != i64(e.opener) else 0
    index = i64(index_of(g))
    old = i64(e.phase)
    new = i64(STATES[direction * 60 + index * 10 + old])
    ignored = new == IG
    checked = True
    if new == SS and old >= TW:
        reset = i64(e.last_dir) == direction and i64(e.last_index) == RST_SET
        if i64(e.bits) & (3 * CLOSE_INIT) or reset:
            end_entry(b, at, now, RESTARTED)
            return i64(-1)
        ignored = True
    if ignored:
        last = i64(e.last_dir)
        answers = index == SYNACK_SET and i64(e.last_index) == SYN_SET and last != direction
        if not (answers and i64(g.ack) == i64(e.last_end)):
            _note_ignored(e, old, g, direction, index)
            return _let_pass(e, direction)
        old = i64(SS)
        new = i64(SR)
        o = 1 - d
        e.end[o] = e.last_end
        e.maxend[o] = e.last_end
        e.window[o] = max(i64(e.last_win), 1)
        bits = i64(e.bits)
        # 6.18 goes on to be liberal to the end that answers a late SYN of a picked-up entry (seen, not read)
        drop = (WINDOW_SCALE | CLOSE_INIT | UNACKED | MAXACK) * 3 | LIBERAL << o
        scaled = (WINDOW_SCALE << o) if bits & LAST_SCALE else 0
        e.bits = (bits & ~(drop | CHALLENGE)) | scaled
        e.scale[o] = e.last_wscale
        e.scale[d] = 0
        e.end[d] = 0
        e.maxend[d] = 0
        e.window[d] = 0
        e.ack[d] = 0
    elif new == IV:
        return _invalid(r, e)
    elif new == TW:
        challenge = i64(e.last_dir) != direction and i64(e.last_index) == SYN_SET and i64(e.bits) & CHALLENGE
        if old == LA and index == ACK_SET and challenge:
            e.bits = i64(e.bits) & ~CHALLENGE
            return _let_pass(e, direction)
    elif new == S2:
        e.bits = i64(e.bits) | SIMULTANEOUS
    elif new == SR:
        if direction == 1 and index == ACK_SET and i64(e.bits) & SIMULTANEOUS:
            new = i64(ES)
    elif new == CL and index == RST_SET:
        verdict = _check_rst(r, e, old, d, g, direction)
        if verdict == NOT_BELIEVED:
            return _invalid(r, e)
        if verdict == KEEP_STATE:
            new = old
        checked = verdict == GO_ON or verdict == KEEP_STATE
    if checked:
        outcome = in_window(r, e, d, g, direction, index)
        if outcome == IGNORE:
            return _let_pass(e, direction)
        if outcome == INVALID:
            _handle_invalid(b, r, e, at, direction, index, now)
            return _invalid(r, e)
    e.last_index = index
    e.last_dir = direction
    if i64(e.phase) != new:
        set_phase(b, e, at, new)
    if new == FW and old != FW:
        e.bits = i64(e.bits) | (CLOSE_INIT << d)
    clock = _choose_timer(r, e, index)
    renew = True
    bits = i64(e.bits)
    if (bits & SEEN_REPLY) == 0:
        if index == RST_SET:
            end_entry(b, at, now, DELETED)
            return answer(FORWARD, ENTRY_R, 0)
        if index == SYN_SET and old == SS:
            renew = False
        elif new == ES and _shorter(r, UNACK, clock):
            clock = i64(UNACK)
    elif (bits & ASSURED) == 0 and (old == SR or old == ES) and new == ES:
        bits |= ASSURED
    if renew:
        if i64(e.clock) == clock:
            e.since[0] = now
            e.since[1] = now
        else:
            run_clock(b, e, at, clock, now)
    if direction == 1:
        bits |= SEEN_REPLY
    e.bits = bits
    return answer(FORWARD, ENTRY_R, new)


@helper
def begins_linux(r: Any, g: Any, adopt: Any) -> Any:
    """Return 1 if a segment without entry makes one, 2 if it is adopted, 0 if not: tcp_new()."""
    if not is_proper(g):
        return i64(0)
    index = i64(index_of(g))
    if adopt and (index == ACK_SET or index == FIN_SET or index == SYNACK_SET):
        return i64(2)
    if index == SYN_SET or (index == ACK_SET and r.loose):
        return i64(1)
    return i64(0)


@helper
def begin_linux(b: Any, g: Any, d: Any, first: Any, adopt: Any, table: Any, now: Any) -> Any:
    """Make an entry with a segment; return its index. The segment is to be offered to it then."""
    at = new_entry(b, g, now)
    e = entry_of(b, at)
    e.table = table
    e.opener = first
    e.last_index = NONE_SET
    index = i64(index_of(g))
    e.end[d] = end_of(g)
    e.window[d] = max(i64(g.window), 1)
    if index == SYN_SET:
        e.maxend[d] = e.end[d]
        take_options(e, d, g)
    else:
        e.maxend[d] = (i64(e.end[d]) + i64(e.window[d])) & MASK32
        e.bits = 3 * LIBERAL
    run_clock(b, e, at, i64(ES), now)
    if adopt:
        if index == SYNACK_SET:
            # the SYN went by before the input began; the kernel takes this end's numbers from the SYN-ACK itself
            o = 1 - d
            e.end[o] = g.ack
            e.maxend[o] = g.ack
            e.window[o] = 65535
            e.end[d] = 0
            e.maxend[d] = 0
            e.window[d] = 0
            set_phase(b, e, at, i64(SS))
        else:
            e.bits = i64(e.bits) | SEEN_REPLY | ASSURED
            set_phase(b, e, at, i64(ES))
    return at
