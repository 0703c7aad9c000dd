"""The `linux_conntrack` engine, slow: what net/netfilter/nf_conntrack_proto_tcp.c of Linux 6.12 does, in plain Python.

Names are the kernel's, so that the two can be read side by side. SACK blocks are not in the records that packets
travel in: where the kernel takes the highest SACKed number, this takes the acknowledgment.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.naive.conntrack_window import (
    ACCEPT,
    ACK_SET,
    CL,
    CW,
    ES,
    FIN_SET,
    FW,
    IGNORE,
    INVALID,
    LA,
    NO,
    RST_SET,
    S2,
    SR,
    SS,
    SYN_SET,
    SYNACK_SET,
    TW,
    Seen,
    Tcp,
    before,
    end_of,
    index_of,
    tcp_in_window,
)  # fmt: skip
from tests.naive.packets import ACK, CWR, ECE, FIN, PSH, RST, SYN, URG, Packet
from tests.naive.serial import MOD

from lastack.firewall.table import FOREVER_NS, Ct
from lastack.replay.outcome import Action, Reason, Why

if TYPE_CHECKING:
    from tests.naive.box import NaiveBox
    from tests.naive.box_entry import Entry, Key

IV, IG = 98, 99
TABLE = (
    (
        (SS, SS, IG, IG, IG, IG, IG, SS, SS, S2),
        (IV, IV, SR, IV, IV, IV, IV, IV, IV, SR),
        (IV, IV, FW, FW, LA, LA, LA, TW, CL, IV),
        (ES, IV, ES, ES, CW, CW, TW, TW, CL, IV),
        (IV, CL, CL, CL, CL, CL, CL, CL, CL, CL),
        (IV, IV, IV, IV, IV, IV, IV, IV, IV, IV),
    ),
    (
        (IV, S2, IV, IV, IV, IV, IV, SS, IV, S2),
        (IV, SR, IG, IG, IG, IG, IG, IG, IG, SR),
        (IV, IV, FW, FW, LA, LA, LA, TW, CL, IV),
        (IV, IG, SR, ES, CW, CW, TW, TW, CL, IG),
        (IV, CL, CL, CL, CL, CL, CL, CL, CL, CL),
        (IV, IV, IV, IV, IV, IV, IV, IV, IV, IV),
    ),
)
VALID = {SYN, SYN | URG, SYN | ACK, RST, RST | ACK, FIN | ACK, FIN | ACK | URG, ACK, ACK | URG}
HANDLE_INVALID_NS = 120_000_000_000


def invalid(box: NaiveBox, entry: Entry) -> tuple[Action, Reason, int]:
    """Return the answer for an INVALID packet of an entry."""
    linux = box.table(entry).linux
    assert linux is not None
    return (Action.drop if linux.drop_invalid else Action.forward), Reason.invalid, entry.phase


def begin_linux(
    box: NaiveBox,
    key: Key,
    packet: Packet,
    sender: int,
    first: int,
    session: int,
    table_place: int,
    adopt: bool,
    not_before: int,
) -> tuple[Action, Reason, int]:
    """Decide about a packet without entry: tcp_new()."""
    from tests.naive.box_entry import Entry, seg_of

    table = box.box.tables[table_place]
    linux = table.linux
    assert linux is not None
    index = index_of(packet)
    proper = packet.flags & ~(PSH | ECE | CWR) in VALID
    state = TABLE[0][index][NO] if proper else IV
    picked = state == ES and (linux.loose or adopt)
    adopted = adopt and proper and index in (ACK_SET, FIN_SET, SYNACK_SET)
    if state != SS and not picked and not adopted:
        if table.no_session[seg_of(packet)][sender != first] == 1 and index != RST_SET:
            return Action.reset, Reason.no_entry, 0
        if linux.drop_invalid:
            return Action.drop, Reason.no_entry, 0
        return Action.forward, Reason.passed, 0
    if not box.has_room():
        return Action.drop, Reason.table_full, 0
    now = max(box.time(packet), not_before)
    entry = Entry(table_place, first, now, session, latest_ns=now)
    box.entries[key] = entry
    tcp = entry.linux = Tcp()
    entry.clock, entry.since = ES, [now, now]
    direction = int(sender != first)
    me = tcp.seen[direction]
    me.td_end = end_of(packet)
    me.td_maxwin = packet.window or 1
    if state == SS:
        me.td_maxend = me.td_end
        me.options(packet)
    else:
        me.td_maxend = (me.td_end + me.td_maxwin) % MOD
        tcp.seen[0].be_liberal = tcp.seen[1].be_liberal = True
    if adopted and index == SYNACK_SET:
        # the SYN went by before the input began; the kernel takes this end's numbers from the SYN-ACK itself
        entry.phase = SS
        tcp.seen[1].td_end = tcp.seen[1].td_maxend = tcp.seen[1].td_maxwin = 0
        other = tcp.seen[0]
        other.td_end = other.td_maxend = packet.ack
        other.td_maxwin = 65535
    elif adopted:
        tcp.seen_reply = tcp.assured = True
        entry.phase = ES
    answer = packet_linux(box, key, entry, packet, sender, session)
    if adopted:
        return answer[0], Reason.adopted, answer[2]
    return answer[0], Reason.made if state == SS else Reason.picked_up, answer[2]


def offer_linux(
    box: NaiveBox, key: Key, entry: Entry, packet: Packet, sender: int, session: int
) -> tuple[Action, Reason, int]:
    """Decide about a packet of an entry: nf_conntrack_tcp_packet()."""
    if packet.flags & ~(PSH | ECE | CWR) not in VALID:
        return invalid(box, entry)
    return packet_linux(box, key, entry, packet, sender, session)


def packet_linux(
    box: NaiveBox, key: Key, entry: Entry, packet: Packet, sender: int, session: int
) -> tuple[Action, Reason, int]:
    """Decide about a proper packet of an entry: the rest of nf_conntrack_tcp_packet()."""
    linux = box.table(entry).linux
    assert linux is not None
    tcp: Tcp = entry.linux
    now = entry.latest_ns
    direction = int(sender != entry.opener)
    index, old = index_of(packet), entry.phase
    new = TABLE[direction][index][old]
    ignored = False
    checked = True
    if new == SS and old >= TW:
        if (
            tcp.seen[0].close_init
            or tcp.seen[1].close_init
            or (tcp.last_dir == direction and tcp.last_index == RST_SET)
        ):
            box.end(key, now, Why.restarted)
            action, reason, phase = begin_linux(
                box,
                key,
                packet,
                sender,
                sender,
                session,
                box.choose(key[sender], key[1 - sender]),
                False,
                now,
            )
            return action, Reason.restarted if reason is Reason.made else reason, phase
        ignored = True
    if new == IG or ignored:
        answers = (
            index == SYNACK_SET
            and tcp.last_index == SYN_SET
            and tcp.last_dir != direction
            and packet.ack == tcp.last_end
        )
        if not answers:
            note_ignored(tcp, old, packet, direction, index)
            tcp.seen_reply |= direction == 1
            return Action.forward, Reason.entry, entry.phase
        old, new = SS, SR
        me = tcp.seen[tcp.last_dir]
        me.td_end = me.td_maxend = tcp.last_end
        me.td_maxwin = tcp.last_win or 1
        me.td_scale = tcp.last_wscale
        me.window_scale, me.close_init = tcp.last_window_scale, False
        me.be_liberal = me.unacknowledged = me.maxack_set = False
        tcp.challenge = False
        # 6.18 goes on to be liberal to the end that answers a late SYN of a picked-up entry (seen, not read)
        tcp.seen[direction] = Seen(be_liberal=tcp.seen[direction].be_liberal)
    elif new == IV:
        return invalid(box, entry)
    elif new == TW:
        if (
            old == LA
            and index == ACK_SET
            and tcp.last_dir != direction
            and tcp.last_index == SYN_SET
            and tcp.challenge
        ):
            tcp.challenge = False
            tcp.seen_reply |= direction == 1
            return Action.forward, Reason.entry, entry.phase
    elif new == S2:
        tcp.simultaneous = True
    elif new == SR:
        if direction == 1 and index == ACK_SET and tcp.simultaneous:
            new = ES
    elif new == CL and index == RST_SET:
        verdict = check_rst(tcp, linux.ignore_invalid_rst, old, packet, direction)
        if verdict == INVALID:
            return invalid(box, entry)
        if verdict == "keep":
            new = old
        checked = verdict != "in window"
    if checked:
        outcome = tcp_in_window(tcp, entry.phase, linux.be_liberal, packet, direction, index)
        if outcome == IGNORE:
            tcp.seen_reply |= direction == 1
            return Action.forward, Reason.entry, entry.phase
        if outcome == INVALID:
            handle_invalid(box, entry, direction, index, now)
            return invalid(box, entry)
    tcp.last_index, tcp.last_dir = index, direction
    if entry.phase != new:
        entry.phase = new
        box.moved(entry)
        if new == FW and old != FW:
            tcp.seen[direction].close_init = True
    clock = choose_timer(box, entry, index)
    renew = True
    if not tcp.seen_reply:
        if index == RST_SET:
            # the bit is set after its packet: a RST as the only reply deletes too
            box.end(key, now, Why.deleted)
            return Action.forward, Reason.entry, 0
        if index == SYN_SET and old == SS:
            renew = False
        elif new == ES and shorter(box, entry, Ct.unack, clock):
            clock = Ct.unack
    elif not tcp.assured and old in (SR, ES) and new == ES:
        tcp.assured = True
    if renew:
        entry.clock, entry.since = int(clock), [now, now]
    tcp.seen_reply |= direction == 1
    return Action.forward, Reason.entry, entry.phase


def note_ignored(tcp: Tcp, old: int, packet: Packet, direction: int, index: int) -> None:
    """Annotate an ignored packet."""
    tcp.last_index, tcp.last_dir = index, direction
    tcp.last_seq, tcp.last_end, tcp.last_win = packet.seq, end_of(packet), packet.window
    if index == SYN_SET and direction == 0:
        tcp.last_window_scale, tcp.last_wscale = packet.wscale is not None, min(packet.wscale or 0, 14)
        tcp.challenge = tcp.simultaneous = False
        if old == LA:
            tcp.challenge = True
    if old == SS and index == ACK_SET and direction == 1:
        tcp.last_ack = packet.ack


def check_rst(tcp: Tcp, ignore_invalid: bool, old: int, packet: Packet, direction: int) -> str:
    """Return what the case TCP_CONNTRACK_CLOSE decides: `in window`, INVALID, `keep` the state, or go on (ACCEPT)."""
    if old in (FW, CW, LA, TW, CL):
        return "in window"
    verdict = ACCEPT
    other = tcp.seen[1 - direction]
    if other.maxack_set and tcp.last_index != SYN_SET:
        established = old == ES and tcp.assured
        if packet.seq == 0 and not established:
            return ACCEPT
        if before(packet.seq, other.td_maxack) and not ignore_invalid:
            return INVALID
        if not established or packet.seq == other.td_maxack:
            return ACCEPT
        if tcp.last_index == ACK_SET and tcp.last_dir == direction and packet.seq == tcp.last_end:
            return ACCEPT
        verdict = "keep"
    # that the RST comes from the other end than what it answers is what 6.18 does (seen, not read)
    answers = packet.ack == tcp.last_end and tcp.last_dir != direction
    unsure = not tcp.assured and tcp.last_index == ACK_SET
    if answers and (unsure or (tcp.seen_reply and tcp.last_index == SYN_SET)):
        return "in window"
    if old == SS and tcp.last_index == ACK_SET and tcp.last_dir == 1 and packet.seq == tcp.last_ack:
        return "in window"
    return verdict


def shorter(box: NaiveBox, entry: Entry, cap: Ct, than: int) -> bool:
    """Return whether the timer of a cap is shorter than another."""
    timers = box.table(entry).timers
    return timers[cap].ns < timers[than].ns


def choose_timer(box: NaiveBox, entry: Entry, index: int) -> int:
    """Return the place of the timer that an accepted segment starts."""
    tcp: Tcp = entry.linux
    linux = box.table(entry).linux
    assert linux is not None
    if tcp.retrans >= linux.max_retrans and shorter(box, entry, Ct.retrans, entry.phase):
        return Ct.retrans
    if index == RST_SET:
        return Ct.close
    if any(seen.unacknowledged for seen in tcp.seen) and shorter(box, entry, Ct.unack, entry.phase):
        return Ct.unack
    if tcp.last_win == 0 and shorter(box, entry, Ct.retrans, entry.phase):
        return Ct.retrans
    return entry.phase


def handle_invalid(box: NaiveBox, entry: Entry, direction: int, index: int, now: int) -> None:
    """nf_tcp_handle_invalid()."""
    tcp: Tcp = entry.linux
    if not tcp.assured or index not in (RST_SET, FIN_SET):
        return
    if tcp.last_dir != direction and tcp.last_index in (FIN_SET, RST_SET):
        left = min(box.deadline(entry), FOREVER_NS) - now
        unack = box.table(entry).timers[Ct.unack].ns
        if left >= HANDLE_INVALID_NS and left > unack:
            entry.clock, entry.since = int(Ct.unack), [now, now]
    else:
        tcp.last_index, tcp.last_dir = index, direction
