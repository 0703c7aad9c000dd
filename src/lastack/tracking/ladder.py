"""The packets of one session as the rungs of a ladder: who sent what when, and what each end believes after it.

States, retransmissions and keepalives are what the tracker's own record says after each packet; long stretches in
between are summed up from the same record.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from lastack.model.batch import ACK, META_HAS_IPID, RST, SYN
from lastack.model.enums import EndpointState, Phase
from lastack.tracking.placing import PACKET_BITS, Row, follow
from lastack.tracking.relative import Numbers
from lastack.tracking.selection import shown_places

_FLAG_NAMES = ("FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR")
_FLAG_ORDER = (1, 0, 2, 3, 4, 5, 6, 7)


@dataclass(frozen=True, slots=True)
class Rung:
    """One packet.

    Attributes:
        origin: Place of the capture among those that were read << 48 | packet number in it.
        time_ns: When, ns since epoch.
        since_ns: Time after the session's start, negative where the capture's times run back.
        silence_ns: Time since the latest packet of the session before it.
        from_client: Who sent it; of an ICMP error: who sent the segment that it quotes.
        flags: TCP flags.
        seq: Sequence number after the sender's ISN (without a SYN its first number counts as 1).
        ack: Acknowledgment number after the other end's ISN, None without ACK.
        payload: Bytes of payload on the wire.
        window: Window in bytes, scaled where the scale is known; of an ICMP error None.
        scaled: Whether the scale is known.
        ttl: TTL or hop limit.
        ipid: IPv4 identification, None for IPv6.
        state_clt: State of the client after it.
        state_srv: State of the server after it.
        phase: Phase after it.
        marks: What is special: `again` (only numbers already seen), `keepalive`, `late` (fills a hole), `overlaps`
            (begins in what was seen and goes on), `ahead` (something before it is missing), `probe` (of a window that
            is shut), `zero window`.
        icmp: Type and code of an ICMP error that quotes a segment of the session, None for a packet of it.
    """

    origin: int
    time_ns: int
    since_ns: int
    silence_ns: int
    from_client: bool
    flags: int
    seq: int
    ack: int | None
    payload: int
    window: int | None
    scaled: bool
    ttl: int
    ipid: int | None
    state_clt: EndpointState
    state_srv: EndpointState
    phase: Phase
    marks: tuple[str, ...]
    icmp: tuple[int, int] | None = None

    @property
    def packet(self) -> int:
        """Number of the packet in its capture, from 1."""
        return self.origin & ((1 << PACKET_BITS) - 1)

    @property
    def capture(self) -> int:
        """Place of its capture among those that were read."""
        return self.origin >> PACKET_BITS

    @property
    def flag_names(self) -> tuple[str, ...]:
        """Names of the flags, those that open and close first."""
        return tuple(_FLAG_NAMES[bit] for bit in _FLAG_ORDER if self.flags >> bit & 1)


@dataclass(frozen=True, slots=True)
class Fold:
    """A stretch of packets that are not shown one by one.

    Attributes:
        packets_clt: Packets of the client.
        packets_srv: Packets of the server.
        bytes_clt: Payload of the client.
        bytes_srv: Payload of the server.
        retx: Packets with nothing but numbers already seen.
        keepalives: Keepalive probes.
        lasted_ns: From the packet before the stretch to its last one.
        silence_ns: Longest silence before one of its packets.
    """

    packets_clt: int
    packets_srv: int
    bytes_clt: int
    bytes_srv: int
    retx: int
    keepalives: int
    lasted_ns: int
    silence_ns: int

    @property
    def packets(self) -> int:
        """Packets of both ends."""
        return self.packets_clt + self.packets_srv


def ladder(
    segments: Any,
    owner: Any,
    session: int,
    row: dict[str, Any],
    most: int | None = None,
    always: Collection[int] = (),
    idle_ns: int | None = None,
) -> Iterator[Rung | Fold]:
    """Yield the rungs of a session's ladder, in the order of the input.

    Args:
        segments: SEGMENT array of all packets between its ends.
        owner: For each the number of its session.
        session: Number of the session.
        row: Its record.
        most: Packets to show one by one, None for all; a few more are shown where folding them saves nothing.
        always: Numbers of packets that must be shown.
        idle_ns: Silence that cut sessions, None for none.
    """
    places = np.flatnonzero(owner == session)
    mine = segments[places]
    shown = shown_places(mine, most, always)
    stops = sorted({int(i) for i in shown} | {int(i) - 1 for i in shown if i > 0})
    rows = follow(segments, session, places[stops].tolist(), idle_ns)
    after = (_turned(values, row) for values in rows)
    numbers = Numbers(mine, row)
    latest = np.maximum.accumulate(mine["ts_ns"]) if len(mine) else mine["ts_ns"]
    silences = np.diff(latest, prepend=latest[:1])
    last, known = -1, _nothing()
    for i in map(int, shown):
        before = next(after) if i > 0 and i - 1 != last else known
        if i - 1 > last:
            yield _fold(known, before, latest, silences, last, i)
        known = next(after)
        yield _rung(numbers, mine[i], i, int(row["start_ns"]), int(silences[i]), before, known)
        last = i


def _turned(values: Row, row: dict[str, Any]) -> Row:
    """Return a record with the ends as the finished record names them: a late SYN decides again who the client is."""
    if (values["client_ip"], values["client_port"]) == (row["client_ip"], row["client_port"]):
        return values
    other = {"_clt": "_srv", "_srv": "_clt"}
    return {name[:-4] + other.get(name[-4:], name[-4:]): value for name, value in values.items()}


def _nothing() -> Row:
    """Return a record before the first packet."""
    sides = ("packets", "bytes", "new_bytes", "retx_packets", "keepalives", "state")
    return {f"{name}_{side}": 0 for name in sides for side in ("clt", "srv")} | {"phase": 0}


def _fold(before: Row, after: Row, latest: Any, silences: Any, last: int, until: int) -> Fold:
    def grown(name: str) -> int:
        return int(after[name]) - int(before[name])

    return Fold(
        packets_clt=grown("packets_clt"),
        packets_srv=grown("packets_srv"),
        bytes_clt=grown("bytes_clt"),
        bytes_srv=grown("bytes_srv"),
        retx=grown("retx_packets_clt") + grown("retx_packets_srv"),
        keepalives=grown("keepalives_clt") + grown("keepalives_srv"),
        lasted_ns=int(latest[until - 1] - latest[max(last, 0)]),
        silence_ns=int(silences[last + 1 : until].max()),
    )


def _rung(
    numbers: Numbers, packet: Any, i: int, start_ns: int, silence_ns: int, before: Row, after: Row
) -> Rung:
    """Return packet i, given the record before and after it."""
    from_client, quoted = bool(numbers.from_client[i]), bool(numbers.quoted[i])
    flags = int(packet["tcp_flags"])
    window, scaled = numbers.window(i)
    return Rung(
        origin=int(packet["origin"]),
        time_ns=int(packet["ts_ns"]),
        since_ns=int(packet["ts_ns"]) - start_ns,
        silence_ns=silence_ns,
        from_client=from_client,
        flags=flags,
        seq=int(numbers.seq[i]),
        ack=int(numbers.ack[i]) if flags & ACK and not quoted else None,
        payload=int(packet["payload"]),
        window=None if quoted else window,
        scaled=scaled,
        ttl=int(packet["ttl"]),
        ipid=int(packet["ipid"]) if int(packet["meta"]) & META_HAS_IPID else None,
        state_clt=EndpointState(after["state_clt"]),
        state_srv=EndpointState(after["state_srv"]),
        phase=Phase(after["phase"]),
        marks=() if quoted else _marks(numbers, packet, i, "clt" if from_client else "srv", before, after),
        icmp=(int(packet["window"]) >> 8, int(packet["window"]) & 0xFF) if quoted else None,
    )


def _marks(numbers: Numbers, packet: Any, i: int, side: str, before: Row, after: Row) -> tuple[str, ...]:
    marks = []
    flags, step = int(packet["tcp_flags"]), numbers.step(i)
    if after[f"retx_packets_{side}"] > before[f"retx_packets_{side}"]:
        marks.append("again")
    elif after[f"keepalives_{side}"] > before[f"keepalives_{side}"]:
        marks.append("keepalive")
    elif numbers.probes(i):
        marks.append("probe")
    elif packet["payload"] and not flags & (RST | SYN) and step is not None:
        if step < 0 and after[f"new_bytes_{side}"] > before[f"new_bytes_{side}"]:
            marks.append("late" if step + int(packet["payload"]) <= 0 else "overlaps")
        elif step > 0:
            marks.append("ahead")
    if packet["window"] == 0 and not flags & RST:
        marks.append("zero window")
    return tuple(marks)
