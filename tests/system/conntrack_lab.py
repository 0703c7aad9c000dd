"""Random TCP through a real conntrack: a router in a namespace, hand-made segments, and what became of each.

The ends have no TCP of their own: raw sockets put frames on two cables and take from them what the router forwards.
"""

from __future__ import annotations

import random
import re
import socket
import struct
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from tests.naive.packets import Packet
from tests.property.walk import OPENINGS, STEPS, Side, Walk

from lastack.lab.netns import Namespace
from lastack.wire import build

PACKET_IGNORE_OUTGOING, SOL_PACKET, SO_RCVBUFFORCE = 23, 263, 33
ROUTER_MACS = (bytes.fromhex("020000000a01"), bytes.fromhex("020000000a02"))
END_MACS = (bytes.fromhex("020000000b01"), bytes.fromhex("020000000b02"))
NETS = ("10.71.0.0/16", "10.72.0.0/16")
RULES = """table inet judge {
  chain forward { type filter hook forward priority 0; policy accept; ct state invalid drop; }
}
"""
LINE = re.compile(r"tcp\s+6 (\d+) (\w+) src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)")
MOST_PAYLOAD = 1400  # of an Ethernet frame, options and all
Tuple = tuple[str, int, str, int]


class Router:
    """A namespace that forwards between two cables and drops what conntrack calls INVALID.

    Args:
        timers: Seconds by sysctl name after `nf_conntrack_tcp_timeout_`.
        switches: Other sysctls by name after `nf_conntrack_tcp_`.
    """

    def __init__(self, timers: Mapping[str, int], switches: Mapping[str, int]) -> None:
        self.box, self.ends = Namespace(), (Namespace(), Namespace())
        self.sockets: list[socket.socket] = []
        for side, end in enumerate(self.ends):
            name, peer = f"r{side}", f"e{side}"
            self._ip(self.box, f"link add {name} type veth peer name {peer} netns {end.path}")
            self._ip(self.box, f"link set {name} address {ROUTER_MACS[side].hex(':')} up")
            self._ip(end, f"link set {peer} address {END_MACS[side].hex(':')} up")
            self._ip(self.box, f"address add 10.70.{side}.1/24 dev {name}")
            self._ip(
                self.box,
                f"neigh add 10.70.{side}.2 lladdr {END_MACS[side].hex(':')} dev {name} nud permanent",
            )
            self._ip(self.box, f"route add {NETS[side]} via 10.70.{side}.2 dev {name}")
            with end.entered():
                raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
                raw.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
                raw.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
                raw.bind((peer, 0x0800))
                raw.setblocking(False)
            self.sockets.append(raw)
        values = {f"nf_conntrack_tcp_timeout_{name}": value for name, value in timers.items()}
        values |= {f"nf_conntrack_tcp_{name}": value for name, value in switches.items()}
        self._run("nft", "-f", "-", text=RULES)
        for name, value in values.items():
            self._run("sysctl", "-q", "-w", f"net.netfilter.{name}={value}")
        self._run("sysctl", "-q", "-w", "net.ipv4.ip_forward=1", "net.ipv4.conf.all.rp_filter=0",
                  "net.ipv4.conf.r0.rp_filter=0", "net.ipv4.conf.r1.rp_filter=0")  # fmt: skip

    def _run(self, *command: str, text: str = "") -> str:
        with self.box.entered():
            done = subprocess.run(
                command, input=text, capture_output=True, text=True, check=False, timeout=20
            )
        if done.returncode:
            raise OSError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout

    @staticmethod
    def _ip(where: Namespace, line: str) -> None:
        with where.entered():
            subprocess.run(["ip", *line.split()], check=True, timeout=20)

    def send(self, side: int, frame: bytes) -> None:
        """Put a frame on the cable of the first (0) or second end."""
        self.sockets[side].send(ROUTER_MACS[side] + END_MACS[side] + b"\x08\x00" + frame)

    def forwarded(self) -> set[tuple[int, int]]:
        """Return what has come out since the last call: (end that got it, IP identification)."""
        found = set()
        for side, raw in enumerate(self.sockets):
            while True:
                try:
                    frame = raw.recv(65536)
                except BlockingIOError:
                    break
                found.add((side, struct.unpack(">H", frame[18:20])[0]))
        return found

    def entries(self) -> dict[Tuple, tuple[str, int]]:
        """Return state and seconds left of every entry, by the original direction."""
        listed = LINE.findall(self._run("conntrack", "-L", "-p", "tcp"))
        return {
            (src, int(sport), dst, int(dport)): (state.lower(), int(left))
            for left, state, src, dst, sport, dport in listed
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for raw in self.sockets:
            raw.close()
        for namespace in (*self.ends, self.box):
            namespace.close()


@dataclass(frozen=True, slots=True)
class Step:
    """A packet to be sent in a tick; `side` is the end that sends it."""

    tick: int
    side: int
    packet: Packet


_STEPS = [step for step in STEPS if step not in ("icmp", "none")] + ["data", "ack", "ack", "fin"] * 3


def script(number: int, ticks: int) -> list[Step]:
    """Return random TCP of one session: an opening, then any steps, some of them after ticks of silence."""
    rng = random.Random(number)
    sides = [
        Side(
            (f"10.7{1 + side}.{number >> 8}.{number & 255}", 40_000 if side == 0 else 443),
            isn := rng.choice([100, 1_000_003, (1 << 32) - 9, 500_000_011]),
            isn,
            wscale=rng.choice([None, 0, 7]),
            window=rng.choice([65535, 501, 501, 0]),
        )
        for side in (0, 1)
    ]
    walk, tick, steps = Walk((sides[0], sides[1])), 0, []
    sides[0].got, sides[1].got = sides[1].isn, sides[0].isn
    openings = [name for name in sorted(OPENINGS) if not any("icmp" in step for step in OPENINGS[name])]
    opening = OPENINGS[rng.choice([*openings, *["full"] * 12])]
    planned = [(int(step[0] == "<"), step[1:], 3, 0) for step in opening]
    for _ in range(rng.randint(4, 16)):
        wait = rng.choice([0, 0, 1, 1, 2, 3, 4])
        planned.append((rng.randint(0, 1), rng.choice(_STEPS), rng.choice([0, 1, 3, 10, 1300]), wait))
    for who, name, size, wait in planned:
        tick += wait
        if tick >= ticks:
            break
        walk.step(who, name, size)
        while len(steps) < len(walk.packets):
            packet = walk.packets[len(steps)]
            packet = replace(packet, payload=min(packet.payload, MOST_PAYLOAD))
            steps.append(Step(tick, int(packet.src.startswith("10.72")), packet))
    return steps


def frame_of(packet: Packet, ipid: int) -> bytes:
    """Return the IPv4 packet of a segment."""
    options = b"" if packet.wscale is None else struct.pack("BBBB", 3, 3, packet.wscale, 0)
    segment = build.tcp(
        packet.sport, packet.dport, seq=packet.seq, ack=packet.ack, flags=packet.flags,
        window=packet.window, options=options, payload=bytes(packet.payload),
    )  # fmt: skip
    return build.ipv4(packet.src, packet.dst, segment, ipid=ipid).data


@dataclass(slots=True)
class Record:
    """What happened: packets with the times at which they were sent, what came through, and the table after ticks.

    Attributes:
        packets: In the order in which they were sent; `number` is their IP identification.
        through: For each, whether it came out.
        tables: (time, packets sent before, entries) after each tick.
    """

    packets: list[Packet]
    through: list[bool]
    tables: list[tuple[int, int, dict[Tuple, tuple[str, int]]]]


def play(routers: Sequence[Router], scripts: Sequence[list[Step]], ticks: int, tick_s: float) -> list[Record]:
    """Send the same scripts through several routers at the same time; return what happened in each."""
    plan: list[list[tuple[int, Packet, bytes]]] = [[] for _ in range(ticks)]
    ipid = 0
    for steps in scripts:
        for step in steps:
            ipid += 1
            plan[step.tick].append(
                (step.side, replace(step.packet, number=ipid), frame_of(step.packet, ipid))
            )
    assert ipid < 1 << 16, "every packet needs an IP identification of its own"
    records = [Record([], [], []) for _ in routers]
    start = time.monotonic()
    for tick, sent in enumerate(plan):
        time.sleep(max(0.0, start + tick * tick_s - time.monotonic()))
        for router, record in zip(routers, records, strict=True):
            before = len(record.packets)
            for side, packet, frame in sent:
                record.packets.append(replace(packet, ts_ns=time.time_ns()))
                router.send(side, frame)
            out = _settled(router)
            sides = [side for side, _, _ in sent]
            record.through += [
                (1 - side, packet.number) in out
                for side, packet in zip(sides, record.packets[before:], strict=True)
            ]
            record.tables.append((time.time_ns(), len(record.packets), router.entries()))
    return records


def _settled(router: Router) -> set[tuple[int, int]]:
    """Return what came out, when nothing more does for a moment."""
    found: set[tuple[int, int]] = set()
    quiet = 0
    while quiet < 2:
        new = router.forwarded()
        quiet = 0 if new else quiet + 1
        found |= new
        time.sleep(0.002)
    return found
