"""Sessions as ordinary networks have them, with long silences: for what-if, whose promise of exactness is for these."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from tests.naive.packets import ACK, FIN, RST, SYN, Packet

BASE_NS = 1_700_000_000_000_000_000
#: Seconds between two packets; some lie on a timer's very end.
WAITS = [0.01, 0.01, 0.01, 0.4, 0.999, 1.0, 1.5, 2.0, 3.5, 5.0, 6.0, 12.0, 30.0, 31.0, 70.0, 130.0, 700.0]


class Talk:
    """One session in the making."""

    def __init__(self, number: int, start_ns: int) -> None:
        self.packets: list[Packet] = []
        self.now = start_ns
        self.ends = (f"10.0.{number >> 8}.{number & 255}", "192.0.2.1")
        self.seq, self.acked = [1000, 5000], [0, 0]
        self.port = 20000 + number

    def send(self, end: int, flags: int, payload: int = 0, seq: int | None = None) -> None:
        """Send a segment whose acknowledgment is up to date."""
        other = 1 - end
        if flags & ACK:
            self.acked[end] = self.seq[other]
        ports = (self.port, 443)
        self.packets.append(
            Packet(
                self.now, self.ends[end], ports[end], self.ends[other], ports[other],
                self.seq[end] if seq is None else seq, self.acked[end] if flags & ACK else 0, flags, payload,
                ttl=64, ipid=1,
            )
        )  # fmt: skip
        if seq is None:
            self.seq[end] += payload + bool(flags & SYN) + bool(flags & FIN)


@st.composite
def talks(draw: Any, number: int = 0) -> list[Packet]:
    """One session: an opening, data with silences, and one of many ends."""
    wait = st.sampled_from(WAITS)
    talk = Talk(number, BASE_NS + draw(st.integers(0, 10**10)))

    def pause() -> None:
        talk.now += int(draw(wait) * 1e9)

    middle = draw(st.integers(0, 9)) == 0
    if middle:
        talk.acked = [talk.seq[1], talk.seq[0]]
    else:
        talk.send(0, SYN)
        for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
            pause()
            talk.send(0, SYN, seq=1000)
        if draw(st.integers(0, 14)) == 0:
            return talk.packets
        pause()
        talk.send(1, SYN | ACK)
        for _ in range(draw(st.sampled_from([0, 0, 0, 1]))):
            pause()
            talk.send(1, SYN | ACK, seq=5000)
        if draw(st.integers(0, 14)) == 0:
            return talk.packets
        pause()
        talk.send(0, ACK)
    for _ in range(draw(st.integers(1 if middle else 0, 5))):
        pause()
        end = draw(st.integers(0, 1))
        talk.send(end, ACK, draw(st.sampled_from([0, 10, 1460])))
        talk.now += 1_000_000
        talk.send(1 - end, ACK)
    _close(draw, talk, pause)
    return talk.packets


def _close(draw: Any, talk: Talk, pause: Any) -> None:
    first = draw(st.integers(0, 1))
    how = draw(st.sampled_from(["open", "rst", "fin", "fin", "fin", "fin"]))
    if how == "open":
        return
    pause()
    if how == "rst":
        talk.send(first, RST | ACK)
        return
    talk.send(first, FIN | ACK)
    for _ in range(draw(st.sampled_from([0, 0, 0, 1]))):
        pause()
        talk.send(first, FIN | ACK, seq=talk.seq[first] - 1)
    if draw(st.integers(0, 5)):
        talk.now += 1_000_000
        talk.send(1 - first, ACK)
    for _ in range(draw(st.integers(0, 4))):
        pause()
        talk.send(1 - first, ACK, draw(st.sampled_from([0, 500, 1460])))
        if draw(st.booleans()):
            talk.now += 1_000_000
            talk.send(first, ACK)
    end = draw(st.sampled_from(["none", "fin", "fin", "fin", "rst"]))
    if end == "none":
        return
    pause()
    if end == "rst":
        talk.send(1 - first, RST | ACK)
        return
    talk.send(1 - first, FIN | ACK)
    if draw(st.integers(0, 5)):
        pause()
        talk.send(first, ACK)


@st.composite
def captures_of_talks(draw: Any, most: int = 12) -> list[Packet]:
    """Several sessions at once, in time order and numbered."""
    from dataclasses import replace

    every = [packet for n in range(draw(st.integers(1, most))) for packet in draw(talks(n))]
    every.sort(key=lambda packet: packet.ts_ns)
    return [replace(packet, number=i) for i, packet in enumerate(every, 1)]
