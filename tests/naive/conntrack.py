"""The `linux_conntrack` engine, slow: what net/netfilter/nf_conntrack_proto_tcp.c of Linux 6.12 does, in plain Python.

Names are the kernel's, so that the two can be read side by side. SACK blocks are not in the records that packets
travel in: where the kernel takes the highest SACKed number, this takes the acknowledgment.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.naive.packets import ACK, CWR, ECE, FIN, PSH, RST, SYN, URG, Packet
from tests.naive.serial import MOD, distance

from lastack.firewall.table import FOREVER_NS, Ct
from lastack.replay.outcome import Action, Reason, Why

if TYPE_CHECKING:
    from tests.naive.box import Entry, Key, NaiveBox

NO, SS, SR, ES, FW, CW, LA, TW, CL, S2 = range(10)
IV, IG = 98, 99
SYN_SET, SYNACK_SET, FIN_SET, ACK_SET, RST_SET, NONE_SET = range(6)
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
MAXACKWINCONST = 66000
HANDLE_INVALID_NS = 120_000_000_000
ACCEPT, IGNORE, INVALID = "accept", "ignore", "invalid"


@dataclass(slots=True)
class Seen:
    """struct ip_ct_tcp_state."""

    td_end: int = 0
    td_maxend: int = 0
    td_maxwin: int = 0
    td_maxack: int = 0
    td_scale: int = 0
    window_scale: bool = False
    close_init: bool = False
    be_liberal: bool = False
    unacknowledged: bool = False
    maxack_set: bool = False

    def options(self, packet: Packet) -> None:
        """tcp_options(): forget flags, take the window scale."""
        self.td_scale = 0
        self.close_init = self.unacknowledged = self.maxack_set = False
        self.window_scale = packet.wscale is not None
        if packet.wscale is not None:
            self.td_scale = min(packet.wscale, 14)


@dataclass(slots=True)
class Tcp:
    """struct ip_ct_tcp and the status bits."""

    seen: list[Seen] = field(default_factory=lambda: [Seen(), Seen()])
    last_dir: int = 0
    retrans: int = 0
    last_index: int = NONE_SET
    last_seq: int = 0
    last_ack: int = 0
    last_end: int = 0
    last_win: int = 0
    last_wscale: int = 0
    last_window_scale: bool = False
    challenge: bool = False
    simultaneous: bool = False
    seen_reply: bool = False
    assured: bool = False


def before(a: int, b: int) -> bool:
    """Return whether sequence number a comes before b."""
    return distance(a, b) < 0


def index_of(packet: Packet) -> int:
    """get_conntrack_index()."""
    flags = packet.flags
    if flags & RST:
        return RST_SET
    if flags & SYN:
        return SYNACK_SET if flags & ACK else SYN_SET
    if flags & FIN:
        return FIN_SET
    return ACK_SET if flags & ACK else NONE_SET


def end_of(packet: Packet) -> int:
    """segment_seq_plus_len()."""
    return (packet.seq + packet.payload + bool(packet.flags & SYN) + bool(packet.flags & FIN)) % MOD


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
) -> tuple[Action, Reason, int]:
    """Decide about a packet without entry: tcp_new()."""
    from tests.naive.box import Entry, seg_of

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
    entry = Entry(table_place, first, packet.ts_ns, session, latest_ns=packet.ts_ns)
    box.entries[key] = entry
    tcp = entry.linux = Tcp()
    entry.clock, entry.since = ES, [packet.ts_ns, packet.ts_ns]
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
    if adopted:
        tcp.seen_reply = tcp.assured = True
        entry.phase = SR if index == SYNACK_SET else ES
        if index == SYNACK_SET:
            # the SYN went by before the input began
            tcp.assured = False
            other = tcp.seen[0]
            other.td_end = other.td_maxend = packet.ack
            other.td_maxwin = 65535
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
    now = max(packet.ts_ns, entry.latest_ns)
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
            action, _, phase = begin_linux(
                box, key, packet, sender, sender, session, box.choose(key[sender], key[1 - sender]), False
            )
            return action, Reason.restarted if action is Action.forward else Reason.table_full, phase
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
        tcp.seen[direction] = Seen()
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
    if (
        (tcp.seen_reply and tcp.last_index == SYN_SET) or (not tcp.assured and tcp.last_index == ACK_SET)
    ) and packet.ack == tcp.last_end:
        return "in window"
    if old == SS and tcp.last_index == ACK_SET and tcp.last_dir == 1 and packet.seq == tcp.last_ack:
        return "in window"
    return verdict


def init_sender(sender: Seen, receiver: Seen, packet: Packet, direction: int) -> None:
    """tcp_init_sender()."""
    sender.td_end = sender.td_maxend = end_of(packet)
    sender.td_maxwin = packet.window or 1
    sender.options(packet)
    if direction == 1 and not (sender.window_scale and receiver.window_scale):
        sender.td_scale = receiver.td_scale = 0


def tcp_in_window(tcp: Tcp, state: int, liberal: bool, packet: Packet, direction: int, index: int) -> str:
    """Return ACCEPT, IGNORE or INVALID, having taken the segment's numbers when it is accepted."""
    sender, receiver = tcp.seen[direction], tcp.seen[1 - direction]
    seq, ack, win, end = packet.seq, packet.ack, packet.window, end_of(packet)
    has_ack, has_syn = bool(packet.flags & ACK), bool(packet.flags & SYN)
    if sender.td_maxwin == 0:
        if has_syn:
            init_sender(sender, receiver, packet, direction)
            if not has_ack:
                return ACCEPT
        else:
            sender.td_end = end
            sender.td_maxwin = (win << sender.td_scale) or 1
            sender.td_maxend = (end + sender.td_maxwin) % MOD
            if receiver.td_maxwin == 0:
                receiver.td_end = receiver.td_maxend = ack
            elif ack == (receiver.td_end + 1) % MOD:
                receiver.td_end = (receiver.td_end + 1) % MOD
    elif has_syn and before(sender.td_end, end) and state in (SS, SR):
        init_sender(sender, receiver, packet, direction)
        if direction == 1 and not has_ack:
            return ACCEPT
    if not has_ack or (packet.flags & RST and ack == 0):
        ack = receiver.td_end
    if packet.flags & RST and seq == 0 and state == SS:
        seq = end = sender.td_end
    lenient = ACCEPT if sender.be_liberal or liberal else None
    max_ack_window = max(sender.td_maxwin, MAXACKWINCONST)
    if not before(seq, (sender.td_maxend + 1) % MOD):
        overshot = (end - sender.td_maxend + 1) % MOD
        ack_ok = before((receiver.td_end - max_ack_window - 1) % MOD, ack)
        in_recv_win = receiver.td_maxwin and before((sender.td_end - receiver.td_maxwin - 1) % MOD, end)
        if (
            in_recv_win
            and ack_ok
            and overshot <= receiver.td_maxwin
            and before(ack, (receiver.td_end + 1) % MOD)
        ):
            sender.td_end = end
            sender.unacknowledged = True
        return lenient or INVALID
    if not before(ack, (receiver.td_end + 1) % MOD):
        return lenient or INVALID
    if receiver.td_maxwin and not before((sender.td_end - receiver.td_maxwin - 1) % MOD, end):
        return lenient or IGNORE
    if not before((receiver.td_end - max_ack_window - 1) % MOD, ack):
        return lenient or IGNORE
    if not has_syn:
        win <<= sender.td_scale
    sender.td_maxwin = max(sender.td_maxwin, win)
    if before(sender.td_end, end):
        sender.td_end = end
        sender.unacknowledged = True
    if has_ack:
        if not sender.maxack_set:
            sender.td_maxack, sender.maxack_set = ack, True
        elif before(sender.td_maxack, ack):
            sender.td_maxack = ack
    if receiver.td_maxwin and before(sender.td_maxend, end):
        receiver.td_maxwin += distance(end, sender.td_maxend)
    if before((receiver.td_maxend - 1) % MOD, (ack + win) % MOD):
        receiver.td_maxend = (ack + win + (win == 0)) % MOD
    if ack == receiver.td_end:
        receiver.unacknowledged = False
    if index == ACK_SET:
        now = (direction, seq, ack, end, win)
        if now == (tcp.last_dir, tcp.last_seq, tcp.last_ack, tcp.last_end, tcp.last_win):
            tcp.retrans += 1
        else:
            tcp.last_dir, tcp.last_seq, tcp.last_ack, tcp.last_end, tcp.last_win = now
            tcp.retrans = 0
    return ACCEPT


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
