"""A walk through plausible TCP: two ends with their own sequence numbers that say what a list of steps tells them.

It keeps no state machine: any step may follow any other, which is where trackers go wrong. What makes it plausible
is that numbers continue where they were and that steps are drawn from real shapes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from tests.naive.packets import ACK, FIN, PSH, RST, SYN, Icmp, Packet

MOD = 1 << 32
BASE_NS = 1_700_000_000_000_000_000

#: Openings as steps; `>` is the first end, `<` the second.
OPENINGS: dict[str, list[str]] = {
    "full": [">syn", "<synack", ">ack"],
    "reordered": ["<synack", ">syn", ">ack"],
    "late syn": [">ack", ">syn_before", "<synack"],
    "tfo": [">syn_data", "<synack", ">ack"],
    "syn only": [">syn"],
    "syn thrice": [">syn", ">syn", ">syn"],
    "synack only": ["<synack"],
    "half open": [">syn", "<synack", "<synack"],
    "scan": [">syn", "<synack", ">rst"],
    "refused": [">syn", "<rst_ack"],
    "refused thrice": [">syn", "<rst_ack", ">syn", "<rst_ack", ">syn", "<rst_ack"],
    "injected": [">syn", "<rst_odd", "<synack", ">ack"],
    "simultaneous": [">syn", "<syn", ">synack", "<synack"],
    "simultaneous with acks": [">syn", "<syn", ">ack", "<ack"],
    "one way": [">syn", ">ack", ">data"],
    "other way": ["<synack", "<data"],
    "midstream": [">data", "<ack"],
    "unreachable": [">syn", ">icmp", ">syn"],
    "none": [],
}
STEPS = [
    "ack", "data", "data", "push", "hole", "again", "again_longer", "overlap", "keepalive", "keepalive_byte", "probe",
    "close_window", "fin", "fin", "fin_data", "fin_again", "rst", "rst_ack", "rst_window", "rst_outside", "rst_data",
    "rst_odd", "fin_rst", "syn", "syn_new", "synack", "synack_again", "syn_data", "syn_fin", "syn_before", "null",
    "all_flags", "challenge", "icmp", "stale_ack", "wild_ack", "beyond_fin", "no_ack_data",
    "reroute", "renumber", "quote_data", "wait", "linger", "race",
]  # fmt: skip


@dataclass(slots=True)
class Side:
    """One end: where it is in its own stream and what it has received."""

    address: tuple[str, int]
    isn: int
    nxt: int
    got: int = 0
    window: int = 65535
    ttl: int = 64
    ipid: int = 1
    ipid_step: int = 1
    wscale: int | None = None
    last: Packet | None = None


@dataclass(slots=True)
class Walk:
    """The packets said so far."""

    sides: tuple[Side, Side]
    now: int = BASE_NS
    packets: list[Packet] = field(default_factory=list)

    def say(self, who: int, flags: int, payload: int = 0, **other: int | Icmp | None) -> Packet:
        """Add a packet of an end; numbers not given continue where they were."""
        me, peer = self.sides[who], self.sides[1 - who]
        values = {
            "seq": me.nxt, "ack": me.got if flags & ACK else 0, "window": me.window, "ttl": me.ttl,
            "wscale": me.wscale if flags & SYN else None, "ipid": me.ipid,
        } | other  # fmt: skip
        me.ipid = (me.ipid + me.ipid_step) & 0xFFFF
        packet = Packet(self.now, *me.address, *peer.address, flags=flags, payload=payload, **values)
        self.packets.append(packet)
        return packet

    def send(self, who: int, flags: int, payload: int = 0, seen: bool = True, **other: int | None) -> None:
        """Say a packet that takes sequence space; the peer notes it unless it was lost (`seen`)."""
        packet = self.say(who, flags, payload, **other)
        me, peer = self.sides[who], self.sides[1 - who]
        end = (packet.seq + bool(flags & SYN) + payload + bool(flags & FIN)) % MOD
        if 0 < (end - me.nxt) % MOD < MOD // 2:
            me.nxt = end
        if seen:
            peer.got = me.nxt
        me.last = packet

    def step(self, who: int, name: str, size: int) -> None:
        """Do one step of an end; `size` is bytes, or how far off something is."""
        me, peer = self.sides[who], self.sides[1 - who]
        match name:
            case "syn":
                self.send(who, SYN, seq=me.isn)
            case "syn_new":
                me.isn = me.nxt = (me.isn + 64_000 + size) % MOD
                self.send(who, SYN, seq=me.isn)
            case "syn_data":
                self.send(who, SYN, size, seq=me.isn)
            case "syn_before":
                self.say(who, SYN, seq=(me.isn - 1) % MOD)
            case "synack":
                self.send(who, SYN | ACK, seq=me.isn)
            case "synack_again":
                self.say(who, SYN | ACK, seq=me.isn, ack=(peer.isn + 1) % MOD)
            case "syn_fin":
                self.send(who, SYN | FIN, seq=me.isn)
            case "ack":
                self.say(who, ACK)
            case "challenge":
                self.say(who, ACK, seq=me.nxt, ack=(peer.nxt - size) % MOD)
            case "stale_ack":
                self.say(who, ACK, ack=(me.got - size) % MOD)
            case "wild_ack":
                self.say(who, ACK, ack=(me.got + 1_000 * size) % MOD)
            case "data" | "push":
                self.send(who, ACK | PSH if name == "push" else ACK, size)
            case "no_ack_data":
                self.send(who, 0, size)
            case "hole":
                me.nxt = (me.nxt + size) % MOD
                self.send(who, ACK, size, seen=size % 2 == 0)
            case "again" | "again_longer" | "fin_again" if me.last is not None:
                extra = size if name == "again_longer" else 0
                self.say(who, me.last.flags, me.last.payload + extra, seq=me.last.seq)
            case "overlap":
                self.send(who, ACK, size + 3, seq=(me.nxt - min(size, 3)) % MOD)
            case "keepalive" | "keepalive_byte":
                self.say(who, ACK, int(name == "keepalive_byte"), seq=(me.nxt - 1) % MOD)
            case "probe":
                peer.window = 0
                self.say(1 - who, ACK)
                self.say(who, ACK, size % 2, seq=(me.nxt - 1) % MOD)
            case "close_window":
                me.window = 0 if me.window else 501
                self.say(who, ACK)
            case "fin" | "fin_data":
                self.send(who, FIN | ACK, size if name == "fin_data" else 0)
            case "beyond_fin":
                self.send(who, ACK | PSH, size + 1)
            case "fin_rst":
                self.send(who, FIN | RST | ACK)
            case "rst":
                self.say(who, RST, ttl=me.ttl + size % 3, ipid=(me.ipid + size) & 0xFFFF)
            case "rst_ack":
                self.say(who, RST | ACK, window=0)
            case "rst_window":
                self.say(who, RST, seq=(me.nxt + size) % MOD)
            case "rst_outside":
                self.say(who, RST, seq=(me.nxt - 1 - 1_000 * (size + 70)) % MOD)
            case "rst_data":
                self.say(who, RST | ACK, size)
            case "rst_odd":
                self.say(who, RST | ACK, seq=size, ack=size)
            case "null":
                self.say(who, 0)
            case "all_flags":
                self.say(who, 255, size % 2)
            case "icmp":
                self.quote(who, size)
            case "quote_data":
                self.quote(who, size, seq=(me.nxt - size) % MOD)
            case "reroute":
                me.ttl = 64 - size % 3
                self.say(who, ACK)
            case "renumber":
                me.ipid_step = {0: 0, 1: 1, 2: 256, 3: 257}.get(size % 7, 1)
                me.ipid = 0 if me.ipid_step == 0 else me.ipid
                self.say(who, ACK)
            case "wait" | "linger":
                self.now += 2_000_000_000 if name == "wait" else 1_800_000_000_000 * (size % 4)
                self.send(who, ACK, size)
            case "race":
                self.say(1 - who, RST | ACK, seq=(peer.nxt + size) % MOD)
                self.send(1 - who, ACK, size + 1)
                self.say(1 - who, RST, seq=(peer.nxt + 2 * size) % MOD)
            case _:
                self.say(who, ACK)

    def quote(self, who: int, size: int, seq: int | None = None) -> None:
        """Add an ICMP error that quotes the end's SYN, or something like it, or another of its segments."""
        v6 = ":" in self.sides[who].address[0]
        kind = (1 if size % 2 else 3) if v6 else (3 if size % 2 else 11)
        if seq is None:
            seq = (self.sides[who].isn + (size == 3)) % MOD
        packet = self.say(
            who, 0, seq=seq, icmp=Icmp(v6, kind, size % 5), ipid=None, window=65535, wscale=None
        )
        self.packets[-1] = replace(packet, ack=0)


def numbered(packets: list[Packet]) -> list[Packet]:
    """Return packets with their places as numbers, and IP-IDs where their version has one."""
    return [
        replace(packet, number=i, ipid=None if ":" in packet.src or packet.icmp else packet.ipid or 0)
        for i, packet in enumerate(packets, 1)
    ]
