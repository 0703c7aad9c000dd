"""Hypothesis strategies for packet lists: realistic and nasty conversations, mutated; and small-space noise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from tests.naive.packets import Packet
from tests.property.walk import BASE_NS, MOD, OPENINGS, STEPS, Side, Walk, numbered

#: Pairs of ends. One address pair with several ports, and an IPv6 pair.
PAIRS = [
    (("10.0.0.1", 40000), ("10.0.0.2", 443)),
    (("10.0.0.2", 40000), ("10.0.0.1", 443)),
    (("10.0.0.1", 40000), ("10.0.0.2", 8443)),
    (("2001:db8::1", 50000), ("2001:db8::2", 22)),
]
HIGH_PAIRS = [PAIRS[2], (("2001:db8::1", 50000), ("2001:db8::2", 3306))]

#: First sequence numbers, most near a wrap. All numbers lie within half of the circle, where serial order is an order.
ISNS = [100, 1_000_003, MOD - 1, MOD - 2, MOD - 9, 500_000_011, MOD - 300_000_017]
STEPS_NS = [
    0,
    1_000_000,
    999_999_999,
    1_000_000_000,
    1_000_000_001,
    2_500_000_000,
    31_000_000_000,
    -3_000_000_000,
]
SIZES = [0, 1, 2, 3, 10, 1460]
GSO = 60_000

flags = st.integers(0, 63)


@st.composite
def conversations(draw: Any, pairs: list[Any] = PAIRS) -> list[Packet]:
    """One conversation: an opening, then any steps of either end."""
    first, second = draw(st.sampled_from(pairs))
    sides = []
    for address in (first, second):
        isn = draw(st.sampled_from(ISNS))
        wscale = draw(st.sampled_from([None, 0, 7, 14, 15]))
        window = draw(st.sampled_from([65535, 501, 0]))
        side = Side(address, isn, isn, wscale=wscale, window=window, ttl=draw(st.sampled_from([64, 128])))
        if draw(st.integers(0, 4)) == 0:
            side.ipid = side.ipid_step = 0
        sides.append(side)
    walk = Walk((sides[0], sides[1]))
    # Mid-stream starts need something to acknowledge.
    sides[0].got, sides[1].got = sides[1].isn, sides[0].isn
    for step in OPENINGS[draw(st.sampled_from(sorted(OPENINGS)))]:
        walk.step(int(step[0] == "<"), step[1:], 3)
        walk.now += 1_000_000
    more = st.tuples(
        st.booleans(), st.sampled_from(STEPS), st.sampled_from([*SIZES, GSO]), st.sampled_from(STEPS_NS)
    )
    for from_second, name, size, wait in draw(st.lists(more, max_size=20)):
        walk.now += wait
        walk.step(int(from_second), name, size)
    return walk.packets


@st.composite
def mutated(draw: Any, pairs: list[Any] = PAIRS) -> list[Packet]:
    """One to three conversations after one another or interleaved, then damaged."""
    packets: list[Packet] = []
    for packets_of_one in draw(st.lists(conversations(pairs), min_size=1, max_size=3)):
        packets = braid(draw, packets, packets_of_one)
    for _ in range(draw(st.integers(0, 4))):
        if packets:
            packets = damage(draw, packets)
    return numbered(packets)


def braid(draw: Any, a: list[Packet], b: list[Packet]) -> list[Packet]:
    """Return two conversations after one another (a reused port when the ends are the same) or interleaved."""
    if not a or draw(st.booleans()):
        after = max((packet.ts_ns for packet in a), default=BASE_NS) - BASE_NS
        return a + [replace(packet, ts_ns=packet.ts_ns + after) for packet in b]
    return sorted(a + b, key=lambda packet: packet.ts_ns)


def damage(draw: Any, packets: list[Packet]) -> list[Packet]:
    """Return the packets with one thing gone wrong."""
    i = draw(st.integers(0, len(packets) - 1))
    packet = packets[i]
    kind = draw(
        st.sampled_from(
            ["drop", "double", "swap", "flags", "seq", "ack", "back", "cut start", "cut end", "size", "turn"]
        )
    )
    if kind == "drop":
        return packets[:i] + packets[i + 1 :]
    if kind == "double":
        return packets[: i + 1] + packets[i:]
    if kind == "cut start":
        return packets[i:]
    if kind == "cut end":
        return packets[: i + 1]
    if kind == "swap":
        j = min(i + draw(st.integers(1, 3)), len(packets) - 1)
        moved = list(packets)
        moved[i], moved[j] = moved[j], moved[i]
        return moved
    changed = replace(packet)
    if kind == "flags":
        changed = replace(packet, flags=packet.flags ^ (1 << draw(st.integers(0, 4))))
    elif kind == "seq":
        changed = replace(packet, seq=(packet.seq + draw(shifts)) % MOD)
    elif kind == "ack":
        changed = replace(packet, ack=(packet.ack + draw(shifts)) % MOD)
    elif kind == "back":
        changed = replace(packet, ts_ns=packet.ts_ns - 5_000_000_000)
    elif kind == "size":
        changed = replace(packet, payload=draw(st.sampled_from([*SIZES, GSO])))
    elif kind == "turn" and packet.icmp is None:
        changed = replace(packet, src=packet.dst, sport=packet.dport, dst=packet.src, dport=packet.sport)
    return [*packets[:i], changed, *packets[i + 1 :]]


shifts = st.sampled_from([1, -1, 2, -2, 1460, 65536, -70_000, 1 << 27, -(1 << 27)])


@st.composite
def noise(draw: Any, pairs: list[Any] = PAIRS) -> list[Packet]:
    """Any flags and numbers from a space so small that they meet: what no end would ever say."""
    base = draw(st.sampled_from([100, MOD - 3]))
    number = st.integers(0, 6).map(lambda n: (base + n) % MOD)
    pair = draw(st.sampled_from(pairs))
    one = st.tuples(
        st.booleans(), flags, number, number, st.integers(0, 3), st.sampled_from([0, 1, 3, 65535]),
        st.sampled_from(STEPS_NS), st.sampled_from([None, 0, 14]), st.sampled_from([1, 2, 3, 300]),
    )  # fmt: skip
    now, ipid, packets = BASE_NS, 0, []
    for back, bits, seq, ack, payload, window, wait, wscale, jump in draw(st.lists(one, max_size=14)):
        now += wait
        ipid = (ipid + jump) & 0xFFFF
        src, dst = pair[::-1] if back else pair
        packets.append(Packet(now, *src, *dst, seq, ack, bits, payload, window, wscale, 64, ipid))
    return numbered(packets)


def packet_lists(pairs: list[Any] = PAIRS) -> st.SearchStrategy[list[Packet]]:
    """Return the strategy of everything: damaged conversations and noise."""
    return st.one_of(mutated(pairs), noise(pairs))
