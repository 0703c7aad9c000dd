"""Harmless sessions in numbers, with all that networks, hosts and captures do to packets: nobody may be blamed.

    python -m tests.matrix.benign 100000      sessions to make; prints what was said of them, and every accusation

Hosts differ in how they number packets (a counter for each connection, one for all, always 0, at random) and in the
TTL and IP-ID of RSTs without a socket; paths change in mid-session; addresses move to another host (failover); captures
lose packets, see them twice, or out of order. Nothing between the ends makes a packet.
"""

from __future__ import annotations

import random
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.matrix.judge import ACCUSATIONS
from tests.naive.packets import ACK, FIN, PSH, RST, SYN, Packet
from tests.naive.write import write

import lastack

MOD = 1 << 32
S = 10**9
START_NS = 1_700_000_000 * S
_ROUND_TRIP_NS = 30_000_000  # a step of a handshake takes no longer, and no packet is later than that


@dataclass
class Host:
    """One end: how it numbers, how far it is, what it has sent and got."""

    chance: random.Random
    ip: str
    port: int
    numbering: str
    ttl: int
    nxt: int = 0
    got: int = 0
    counter: int = 0
    window: int = 65535

    def ipid(self) -> int:
        """Return the next IP-ID."""
        if self.numbering == "zero":
            return 0
        if self.numbering == "random":
            return self.chance.randrange(1 << 16)
        self.counter += 1 if self.numbering == "own" else self.chance.choice((1, 1, 2, 5, 40, 700))
        self.counter %= 1 << 16
        return self.counter


@dataclass
class Talk:
    """A session while it is made: packets in the order in which they pass."""

    chance: random.Random
    client: Host
    server: Host
    now: int
    packets: list[Packet] = field(default_factory=list)

    def send(
        self, me: Host, flags: int, payload: int = 0, *, seq: int | None = None, heard: bool = True
    ) -> None:
        """Send one segment; the other end hears of it unless the network loses it."""
        other = self.server if me is self.client else self.client
        self.now += self.chance.randrange(10_000, 30_000_000)
        at = me.nxt if seq is None else seq % MOD
        ack = me.got if flags & ACK else 0
        self.packets.append(
            Packet(
                self.now, me.ip, me.port, other.ip, other.port, at, ack, flags, payload, me.window,
                ttl=me.ttl, ipid=me.ipid(),
            )
        )  # fmt: skip
        if flags & RST:
            return
        end = (at + payload + bool(flags & (SYN | FIN))) % MOD
        if (end - me.nxt) % MOD < MOD // 2:
            me.nxt = end
        if heard:
            other.got = me.nxt

    def answer_without_socket(self, me: Host, told: int) -> None:
        """Send a RST as a host makes it that has no socket: its own TTL and IP-ID, seq = what it was told."""
        ttl, numbering = me.ttl, me.numbering
        if self.chance.random() < 0.3:
            me.ttl = self.chance.choice((ttl - 1, ttl + 1, ttl - 4, ttl + 7, 255, 64, 128)) % 256 or 64
        me.numbering = self.chance.choice(("zero", "zero", numbering, "random", "all"))
        self.send(me, RST, seq=told)
        me.ttl, me.numbering = ttl, numbering

    def wait(self, longest_s: float) -> None:
        """Let time pass; a host that counts for all its connections counts on, and the path may change."""
        spent = self.chance.random() ** 3 * longest_s
        self.now += int(spent * S)
        for host in (self.client, self.server):
            if host.numbering == "all":
                host.counter += self.chance.randrange(1 + int(spent * 100))
            if spent > 1 and self.chance.random() < 0.1:
                host.ttl = min(255, max(2, host.ttl + self.chance.choice((-2, -1, 1, 2, 5))))

    def open(self) -> None:
        """Complete a handshake."""
        self.send(self.client, SYN)
        self.send(self.server, SYN | ACK)
        self.send(self.client, ACK)

    def exchange(self) -> None:
        """Send requests and answers."""
        for _ in range(self.chance.randrange(1, 6)):
            self.send(self.client, PSH | ACK, self.chance.randrange(1, 1400))
            for _ in range(self.chance.randrange(1, 8)):
                self.send(self.server, PSH | ACK, self.chance.randrange(1, 1460))
            self.send(self.client, ACK)
            self.wait(self.chance.choice((0.2, 20, 7200)))

    def pair(self) -> tuple[Host, Host]:
        """Return the two ends, either first."""
        return (self.client, self.server) if self.chance.random() < 0.5 else (self.server, self.client)


def clean(talk: Talk) -> None:
    """Both close, perhaps with a long half-close that is used."""
    me, you = talk.pair()
    talk.send(me, FIN | ACK)
    talk.send(you, ACK)
    if talk.chance.random() < 0.4:
        talk.wait(300)
        for _ in range(talk.chance.randrange(1, 9)):
            talk.send(you, PSH | ACK, 900)
            talk.send(me, ACK)
    talk.send(you, FIN | ACK)
    talk.send(me, ACK)
    if talk.chance.random() < 0.2:
        talk.send(me, RST | ACK)


def reset(talk: Talk) -> None:
    """One end resets, with or without data on its way; the other may have more under way."""
    me, you = talk.pair()
    for _ in range(talk.chance.randrange(4)):
        talk.send(you, PSH | ACK, 1000, heard=talk.chance.random() < 0.5)
    talk.send(me, RST | ACK)
    for _ in range(talk.chance.randrange(3)):
        told = you.got
        talk.send(you, PSH | ACK, 1000, heard=False)
        talk.answer_without_socket(me, told)


def cancelled(talk: Talk) -> None:
    """One end closes while the other sends, and answers each segment by a RST."""
    me, you = talk.pair()
    talk.send(you, PSH | ACK, 1460)
    talk.send(me, FIN | ACK)
    if talk.chance.random() < 0.5:
        talk.wait(100)
    for _ in range(talk.chance.randrange(1, 9)):
        told = you.got
        talk.send(you, PSH | ACK, 1460, heard=False)
        talk.answer_without_socket(me, told)


def lost_state(talk: Talk) -> None:
    """One end forgets (a restart, a failover), the other finds out by data or a keepalive."""
    me, you = talk.pair()
    talk.wait(talk.chance.choice((1, 100, 86400)))
    if talk.chance.random() < 0.3:  # another host at the address
        me.ttl, me.numbering, me.counter = (
            talk.chance.choice((50, 64, 120, 250)),
            "own",
            talk.chance.randrange(65536),
        )
    told = you.got
    if talk.chance.random() < 0.5:
        talk.send(you, ACK, seq=you.nxt - 1)
    else:
        talk.send(you, PSH | ACK, 200, heard=False)
    talk.answer_without_socket(me, told)


def vanished(talk: Talk) -> None:
    """One end dies; the other repeats itself, and may give up by a RST."""
    me, _ = talk.pair()
    talk.wait(talk.chance.choice((1, 100, 86400)))
    if talk.chance.random() < 0.3:
        talk.send(me, FIN | ACK)
        talk.wait(400)
    if talk.chance.random() < 0.5:
        first = me.nxt
        talk.send(me, PSH | ACK, 500, heard=False)
        for _ in range(talk.chance.randrange(6)):
            talk.send(me, PSH | ACK, 500, seq=first, heard=False)
            talk.wait(20)
    else:
        for _ in range(talk.chance.randrange(6)):
            talk.send(me, ACK, seq=me.nxt - 1)
            talk.wait(80)
    if talk.chance.random() < 0.4:
        talk.send(me, RST | ACK)


def crossing(talk: Talk) -> None:
    """Both ends reset while the other's RST is on its way."""
    me, you = talk.pair()
    talk.wait(10)
    talk.send(me, PSH | ACK, 10, heard=False)
    talk.send(me, RST | ACK)
    talk.send(you, RST | ACK)


def given_up(talk: Talk) -> None:
    """One end resets after a silence, the other answers by a RST, as both ends of a Multipath TCP subflow do."""
    me, you = talk.pair()
    talk.wait(100)
    talk.send(me, RST | ACK)
    talk.now += _ROUND_TRIP_NS
    talk.send(you, RST | ACK)


def left_open(talk: Talk) -> None:
    """Nobody closes."""
    talk.wait(3600)


ENDINGS: tuple[Callable[[Talk], None], ...] = (
    clean, clean, reset, reset, cancelled, lost_state, lost_state, vanished, vanished, crossing, given_up, left_open,
)  # fmt: skip


def session(number: int) -> Iterator[Packet]:
    """Yield the packets of one harmless session as a capture has them; the same number gives the same session."""
    chance = random.Random(number)
    ends = []
    for side in (0, 1):
        place = number * 2 + side + 1
        numbering = chance.choice(("own", "own", "all", "zero", "random"))
        ip = f"10.{place >> 16 & 255}.{place >> 8 & 255}.{place & 255}"
        host = Host(chance, ip, (40000, 80)[side], numbering, chance.randrange(40, 250))
        host.nxt = chance.choice((chance.randrange(MOD), MOD - 3000))
        host.counter = chance.randrange(1 << 16)
        ends.append(host)
    talk = Talk(chance, ends[0], ends[1], START_NS + number * S)
    if chance.random() < 0.95:
        talk.open()
    else:
        ends[0].got, ends[1].got = ends[1].nxt, ends[0].nxt
    talk.exchange()
    chance.choice(ENDINGS)(talk)
    yield from _captured(chance, talk.packets)


def _captured(chance: random.Random, packets: list[Packet]) -> Iterator[Packet]:
    """Yield packets as a capture of some quality has them: lost, twice, late, or one direction only."""
    loss, twice, late = (chance.choice((0, 0, rate)) for rate in (0.05, 0.02, 0.03))
    one_way = packets[0].src if chance.random() < 0.03 else None
    held: list[Packet] = []
    following = [packet.ts_ns for packet in packets[1:]] + [packets[-1].ts_ns]
    for packet, next_ns in zip(packets, following, strict=True):
        if chance.random() < loss or (one_way and packet.src != one_way):
            continue
        if chance.random() < late and next_ns - packet.ts_ns < _ROUND_TRIP_NS:
            held.append(packet)
            continue
        yield packet
        if chance.random() < twice:
            yield packet
        for old in held:
            yield replace(old, ts_ns=max(old.ts_ns, packet.ts_ns))
        held = []
    yield from held


def verdicts(first: int, count: int) -> Iterator[tuple[str, str]]:
    """Yield (client's address, cause) of every row that the product finds in some harmless sessions."""
    packets = [packet for number in range(first, first + count) for packet in session(number)]
    with tempfile.TemporaryDirectory() as folder:
        table = lastack.track(write(Path(folder) / "benign.pcap", packets)).table
    addresses = (".".join(map(str, raw[12:])) for raw in table.column("client_ip").to_pylist())
    yield from zip(addresses, table.column("cause").to_pylist(), strict=True)


def main(arguments: list[str]) -> int:
    """Print what was said of harmless sessions; return 1 if somebody was blamed."""
    total, said, blamed = int(arguments[0]) if arguments else 10_000, Counter[str](), 0
    for first in range(0, total, 5000):
        for address, cause in verdicts(first, min(5000, total - first)):
            said[cause] += 1
            if cause in ACCUSATIONS:
                blamed += 1
                print(f"{address}: {cause}")
    for cause, count in said.most_common():
        print(f"{count:8,} {cause}")
    print(f"{blamed} accusations in {said.total():,} rows")
    return 1 if blamed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
