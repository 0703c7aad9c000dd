"""One session: takes packets in order and remembers, for each, the facts that verdicts are made of."""

from __future__ import annotations

from dataclasses import dataclass

from tests.naive.end import End, kind_of
from tests.naive.packets import ACK, FIN, RST, SYN, Icmp, Packet
from tests.naive.serial import MOD, distance, within


@dataclass(frozen=True, slots=True)
class Event:
    """A placed packet with what was true at its place; `end` is 0 or 1, the sender."""

    packet: Packet
    end: int
    kind: str
    new: int  # payload bytes not seen before
    beyond_fin: int  # payload bytes at or beyond the sender's first FIN
    retx: bool
    keepalive: bool
    probe: bool  # zero-window probe
    effective: bool  # a RST that could end the session
    place: str  # of a RST in the receiver's window, empty without RST
    fin_position: int | None  # modulo 2³²
    latest_ns: int  # latest time of the session so far
    acks: tuple[int | None, int | None]  # highest ack of each end so far
    highest: tuple[int | None, int | None]  # highest `end` of each end so far
    phase: str  # timer phase left behind
    sent: tuple[int, int]  # payload sent by each end so far
    provokes: bool  # a RST or SYN that a bare ACK of the other end would challenge


def is_bare_ack(packet: Packet) -> bool:
    """Return whether a packet has ACK, no SYN, FIN, RST and no payload."""
    return packet.flags & (SYN | FIN | RST | ACK) == ACK and not packet.payload


class Session:
    """Packets of one session, in order."""

    def __init__(self, first: Packet, low: tuple[str, int], previous: int | None) -> None:
        self.low = low
        self.high = (first.dst, first.dport) if (first.src, first.sport) == low else (first.src, first.sport)
        self.previous = previous
        self.ends = (End(), End())
        self.events: list[Event] = []
        self.icmp: Icmp | None = None
        # For the evidence: ICMP errors that quote a segment with its sender, indexes of challenge ACKs, SYNs in the
        # middle; of the first RST, what was in flight and each end's highest `end` when it came.
        self.quotes: list[tuple[Packet, int]] = []
        self.challenges: list[int] = []
        self.late_syns = 0
        self.in_flight: tuple[int, int] = (0, 0)
        self.tops: tuple[int | None, int | None] = (None, None)
        self.mid_start = kind_of(first) == "other"
        self.first_syn_by: int | None = None
        self.first_synack_by: int | None = None
        self.reset = False  # an effective RST was seen
        self.paid = False  # payload was seen
        self.established: int | None = 0 if self.mid_start else None  # index of the event
        # By end: the event by which the other end, after its own SYN, acknowledged this one's SYN-ACK, and the
        # event by which it acknowledged this one's SYN after the SYNs of both.
        self.synack_acked: list[int | None] = [None, None]
        self.syn_acked: list[int | None] = [None, None]

    def sender(self, packet: Packet) -> int:
        """Return which end sent a packet; an end that talks to itself is end 0."""
        return 0 if (packet.src, packet.sport) == self.low else 1

    @property
    def over(self) -> bool:
        """Whether an effective RST was seen or both ends have sent a FIN."""
        return self.reset or all(end.fins for end in self.ends)

    @property
    def client_by_flags(self) -> int | None:
        """The client as SYNs and SYN-ACKs tell it, None without."""
        if self.first_syn_by is not None:
            return self.first_syn_by
        return None if self.first_synack_by is None else 1 - self.first_synack_by

    def precedes(self, packet: Packet) -> bool:
        """Return whether a SYN or SYN-ACK is the late start of what was seen of this session."""
        me, other = self.ends[self.sender(packet)], self.ends[1 - self.sender(packet)]
        following = (packet.seq + 1) % MOD
        from_synack = other.sent_synack and other.highest_ack == following
        if me.isn is not None or (other.isn is not None and not from_synack):
            return False
        if me.packets == 0:
            return other.highest_ack == following
        return me.lowest is not None and me.lowest % MOD == following

    def judge_rst(self, packet: Packet) -> tuple[str, bool]:
        """Return the place of a RST in the receiver's window, and whether it could end the session."""
        me, receiver = self.ends[self.sender(packet)], self.ends[1 - self.sender(packet)]
        refusing = receiver.sent_syn and me.top is None
        answers = bool(
            refusing
            and packet.flags & ACK
            and within((packet.ack - 1) % MOD, receiver.isn or 0, receiver.highest_end or 0)
        )
        if receiver.highest_ack is None:
            return ("exact" if answers else "unknown"), (answers if refusing else True)
        ahead = (packet.seq - receiver.highest_ack) % MOD
        if ahead == 0 or packet.seq == me.highest_end:
            place = "exact"
        elif ahead < receiver.receive_window(me):
            place = "window"
        else:
            place = "outside"
        went_on = (receiver.highest_end or 0) % MOD != ((receiver.isn or 0) + 1) % MOD
        return place, answers or (place != "outside" and (went_on or not refusing))

    def place(self, packet: Packet) -> None:
        """Add a packet that belongs to this session."""
        end = self.sender(packet)
        me, other = self.ends[end], self.ends[1 - end]
        kind, is_rst = kind_of(packet), bool(packet.flags & RST)
        shape = me.keepalive_shape(packet, other)
        keepalive = shape and other.window != 0
        retx = not keepalive and me.all_seen(packet)
        place, effective = self.judge_rst(packet) if is_rst else ("", False)
        beyond = 0
        if me.first_fin is not None and packet.payload and not is_rst and not keepalive:
            last = (packet.seq + bool(packet.flags & SYN) + packet.payload) % MOD
            beyond = max(0, min(packet.payload, distance(last, me.first_fin)))
        if (
            retx
            and packet.flags & (SYN | ACK | RST) == SYN
            and self.established is not None
            and not self.over
        ):
            self.late_syns += 1
            odd = True
        else:
            odd = place in ("window", "outside")
        if is_bare_ack(packet) and self.events and self.events[-1].provokes and self.events[-1].end != end:
            self.challenges.append(len(self.events))
        new = me.send(packet, keepalive)

        self.reset |= effective
        self.paid |= bool(packet.payload) and not is_rst
        if kind == "syn" and self.first_syn_by is None:
            self.first_syn_by = end
        if kind == "synack" and self.first_synack_by is None:
            self.first_synack_by = end
        self._note_established(packet, end, kind)
        fin_position = None
        if packet.flags & FIN:
            syn = bool(packet.flags & SYN)
            fin_position = (packet.seq + syn + (0 if is_rst else packet.payload)) % MOD
        latest = max([packet.ts_ns, *(event.latest_ns for event in self.events[-1:])])
        acks = (self.ends[0].highest_ack, self.ends[1].highest_ack)
        tops = (self.ends[0].highest_end, self.ends[1].highest_end)
        self.events.append(
            Event(
                packet, end, kind, new, beyond, retx, keepalive, shape and not keepalive, effective, place,
                fin_position, latest, acks, tops, self._timer_phase(), (self.ends[0].bytes, self.ends[1].bytes), odd,
            )
        )  # fmt: skip

    def _note_established(self, packet: Packet, end: int, kind: str) -> None:
        if self.reset:
            return  # nothing is established after an effective RST
        me, other = self.ends[end], self.ends[1 - end]
        index = len(self.events)
        acks = bool(packet.flags & ACK) and not packet.flags & RST
        plain = acks and not packet.flags & SYN
        in_range = other.isn is not None and within(packet.ack, (other.isn + 1) % MOD, other.highest_end or 0)
        both_syns = me.sent_syn and other.sent_syn
        if acks and in_range and both_syns and self.syn_acked[1 - end] is None:
            self.syn_acked[1 - end] = index
        acks_synack = plain and in_range and other.sent_synack
        if acks_synack and me.sent_syn and self.synack_acked[1 - end] is None:
            self.synack_acked[1 - end] = index
        client = self.client_by_flags
        if self.established is not None or client is None:
            return
        if end == client:
            # The handshake's last ACK, or (SYN-ACK lost to the observer) the client going on after its SYN.
            unanswered = me.sent_syn and self.first_synack_by is None
            done = acks_synack or (plain and unanswered)
        else:
            unseen = other.sent_syn and not me.sent_synack
            answers = kind == "other" and acks and unseen and self._acks_syn(packet, client)
            served = me.sent_synack and packet.payload > 0 and not packet.flags & (SYN | RST)
            done = answers or served
        if done or self.handshake() is not None:
            self.established = index

    def _acks_syn(self, packet: Packet, client: int) -> bool:
        isn, top = self.ends[client].isn, self.ends[client].highest_end
        return isn is not None and top is not None and within((packet.ack - 1) % MOD, isn, top)

    def handshake(self) -> int | None:
        """Return the index of the packet that completed the three-way handshake, None if it was not seen."""
        client = self.first_syn_by
        if client is None:
            return None
        first, second = self.syn_acked
        simultaneous = None if first is None or second is None else max(first, second)
        return min((i for i in (self.synack_acked[1 - client], simultaneous) if i is not None), default=None)

    def _timer_phase(self) -> str:
        fins = [bool(end.fins) for end in self.ends]
        acked = [self.ends[i].fin_acked_by(self.ends[1 - i]) for i in (0, 1)]
        if self.reset:
            return "rst"
        if all(fins):
            return "closed" if all(acked) else "fin2"
        if any(fins):
            return "fin1_acked" if any(acked) else "fin1"
        if self.first_syn_by is None and self.first_synack_by is None:
            return "established" if self.paid else "midstream"
        if self.established is not None:
            return "established"
        return "syn_recv" if self.first_synack_by is not None else "syn_sent"
