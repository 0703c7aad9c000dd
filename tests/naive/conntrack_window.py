"""Window tracking of the slow `linux_conntrack` engine: tcp_in_window(), with the kernel's names."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.naive.packets import ACK, FIN, RST, SYN, Packet
from tests.naive.serial import MOD, distance

NO, SS, SR, ES, FW, CW, LA, TW, CL, S2 = range(10)
SYN_SET, SYNACK_SET, FIN_SET, ACK_SET, RST_SET, NONE_SET = range(6)
MAXACKWINCONST = 66000
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
            return lenient or IGNORE
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
            tcp.retrans = (tcp.retrans + 1) % 256
        else:
            tcp.last_dir, tcp.last_seq, tcp.last_ack, tcp.last_end, tcp.last_win = now
            tcp.retrans = 0
    return ACCEPT
