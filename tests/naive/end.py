"""What one end of a session has said so far: its sequence numbers, acknowledgements and windows.

The numbers of a RST (seq, ack, window) are never the stream's: a RST moves neither the highest `end`, nor the
highest ack, nor the last window. "Highest" is a running maximum in serial arithmetic; positions become
unbounded integers by their distance to the sender's highest `end`. See readings.md.
"""

from __future__ import annotations

from tests.naive.packets import ACK, FIN, RST, SYN, Packet
from tests.naive.serial import MOD, Ranges, distance, less

LARGEST_SCALE = 14  # RFC 7323, 2.3


def kind_of(packet: Packet) -> str:
    """Return how a packet is read for opening a session: `syn`, `synack` or `other`."""
    if packet.flags & RST or not packet.flags & SYN or packet.flags & FIN:
        return "other"
    return "synack" if packet.flags & ACK else "syn"


class End:
    """One end of a session, fed with the packets it sent."""

    def __init__(self) -> None:
        self.packets = 0  # RST included
        self.bytes = 0
        self.fins = 0
        self.isn: int | None = None  # of its first SYN or SYN-ACK
        self.isn_at = 0  # the same, unwrapped
        self.isn_kind = ""
        self.wscale: int | None = None  # of that same packet
        self.sent_syn = False
        self.sent_synack = False
        self.highest_ack: int | None = None
        self.top: int | None = None  # highest `end`, unwrapped
        self.lowest: int | None = None  # lowest occupied position, without one the highest seq; unwrapped
        self.window: int | None = None
        self.window_of_syn = False
        self.occupied = Ranges()  # positions of SYN, payload and FIN; those before a known ISN are not listed
        self.new_bytes = 0
        self.first_fin: int | None = None  # position of the first FIN, modulo 2³²

    @property
    def highest_end(self) -> int | None:
        """Highest `end` sent, modulo 2³²."""
        return None if self.top is None else self.top % MOD

    def unwrap(self, number: int) -> int:
        """Return a sequence number as the unbounded integer nearest to the highest `end`."""
        if self.top is None:
            return number + MOD
        return self.top + distance(number, self.top % MOD)

    def spans(self, packet: Packet) -> tuple[int, int, int, int]:
        """Return seq, data position, data position + payload and `end` of a packet without RST, unwrapped."""
        syn, fin = bool(packet.flags & SYN), bool(packet.flags & FIN)
        low = self.unwrap(packet.seq)
        data = low + syn
        last = data + packet.payload
        return low, data, last, last + fin

    def keepalive_shape(self, packet: Packet, other: End) -> bool:
        """Return whether a packet repeats the last acknowledged number: a keepalive or a window probe."""
        return (
            not packet.flags & (SYN | FIN | RST)
            and packet.payload <= 1
            and self.highest_end is not None
            and (packet.seq + 1) % MOD == self.highest_end
            and other.highest_ack == self.highest_end
        )

    def all_seen(self, packet: Packet) -> bool:
        """Return whether a packet carries sequence numbers and all of them were seen before."""
        if packet.flags & RST:
            return False
        low, _, _, high = self.spans(packet)
        return low < high and self.occupied.holds(self._from_isn(low), high)

    def send(self, packet: Packet, probe: bool) -> int:
        """Take in a packet that this end sent; return the bytes of payload not seen before.

        `probe` says that it is a keepalive: its byte is not of the stream.
        """
        self.packets += 1
        self.fins += bool(packet.flags & FIN)
        if packet.flags & RST:
            if packet.flags & FIN and self.first_fin is None:
                self.first_fin = (packet.seq + bool(packet.flags & SYN)) % MOD
            return 0
        self.bytes += packet.payload
        low, data, last, end = self.spans(packet)
        self._note_opening(packet, low)
        if packet.flags & FIN and self.first_fin is None:
            self.first_fin = last % MOD
        if self.top is None or end > self.top:
            self.top = end
        if not self.occupied and (self.lowest is None or probe or low == end):
            self.lowest = low if self.lowest is None else max(self.lowest, low)
        elif low < end and not probe:
            self.lowest = low if not self.occupied or self.lowest is None else min(self.lowest, low)
        if packet.flags & ACK and (self.highest_ack is None or less(self.highest_ack, packet.ack)):
            self.highest_ack = packet.ack
        self.window = packet.window
        self.window_of_syn = bool(packet.flags & SYN)
        if probe:
            return 0
        new = self.occupied.add(self._from_isn(data), last)
        self.occupied.add(self._from_isn(low), end)
        self.new_bytes += new
        return new

    def _from_isn(self, position: int) -> int:
        """Return a position, moved up to the ISN if it lies before a known one: what is before counts as occupied."""
        return position if self.isn is None else max(position, self.isn_at)

    def _note_opening(self, packet: Packet, low: int) -> None:
        kind = kind_of(packet)
        if kind == "other":
            return
        if self.isn is None:
            self.isn, self.isn_at, self.isn_kind, self.wscale = packet.seq, low, kind, packet.wscale
        self.sent_syn |= kind == "syn"
        self.sent_synack |= kind == "synack"

    def receive_window(self, other: End) -> int:
        """Return the last window in bytes, for judging a RST sent to this end."""
        assert self.window is not None, "a window is asked for only once an ACK was seen"
        if self.window_of_syn:
            return self.window
        if self.isn is None:
            return self.window << LARGEST_SCALE
        if self.wscale is None or other.wscale is None:
            return self.window
        return self.window << min(self.wscale, LARGEST_SCALE)

    def last_window(self, other: End) -> int:
        """Return the last window in bytes, as sent where its scale is not known."""
        if self.window is None:
            return 0
        scaled = self.isn is not None and not self.window_of_syn
        return self.receive_window(other) if scaled else self.window

    def fin_acked_by(self, other: End) -> bool:
        """Return whether the other end has acknowledged this end's first FIN."""
        if self.first_fin is None or other.highest_ack is None:
            return False
        return distance(other.highest_ack, (self.first_fin + 1) % MOD) >= 0
