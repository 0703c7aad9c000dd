"""Sequence numbers and windows of one session as people compare them: relative, never wrapping, scaled."""

from __future__ import annotations

from typing import Any

import numpy as np

from lastack.model.batch import ACK, FIN, META_FROM_HI, META_ICMP, NO_WSCALE, RST, SYN

_LARGEST_SCALE = 14  # RFC 7323, 2.3
_FAR_BELOW = -(1 << 62)


class Numbers:
    """What the packets of a session say, relative to where each end began.

    An end begins at its ISN; without a SYN its first number counts as 1.

    Args:
        mine: SEGMENT array of the session, ICMP errors that quote it included.
        row: Its record.

    Attributes:
        from_client: For each packet whether the client sent it (of an ICMP error: sent what it quotes).
        quoted: Whether it is an ICMP error.
        seq: Sequence number.
        ack: Acknowledgment number, 0 without ACK.
        top: Highest number after what its sender had sent before, far below all others if that was nothing.
    """

    def __init__(self, mine: Any, row: dict[str, Any]) -> None:
        self._mine = mine
        client, server = (row["client_ip"], row["client_port"]), (row["server_ip"], row["server_port"])
        from_hi = (mine["meta"] & META_FROM_HI) != 0
        self.from_client = from_hi == (client > server)
        flags = mine["tcp_flags"]
        quoted = (mine["meta"] & META_ICMP) != 0
        sent = ~quoted & ((flags & RST) == 0)
        acking = (flags & ACK) != 0
        self.seq: Any = np.zeros(len(mine), np.int64)
        self.ack: Any = np.zeros(len(mine), np.int64)
        self.top: Any = np.zeros(len(mine), np.int64)
        for sender in (self.from_client, ~self.from_client):
            syns = np.flatnonzero(sender & sent & ((flags & SYN) != 0))
            speaks = np.flatnonzero(sender & sent)
            heard = np.flatnonzero(~sender & acking & ~quoted)
            if len(syns):
                base = int(mine["seq"][syns[0]])
            elif len(speaks):
                base = int(mine["seq"][speaks[0]]) - 1
            elif len(heard):
                base = int(mine["ack"][heard[0]]) - 1
            else:  # nothing but RSTs of it, and nobody has heard of its numbers
                base = int(mine["seq"][np.argmax(sender)])
            self.seq[sender] = _unwrapped(mine["seq"][sender], sent[sender], base)
            heard_all = ~sender & acking
            self.ack[heard_all] = _unwrapped(mine["ack"][heard_all], sent[heard_all], base)
            self.top[sender] = self._tops(sender, sent)
        self.quoted, self._flags = quoted, flags
        self._speaks = {
            True: np.flatnonzero(self.from_client & sent),
            False: np.flatnonzero(~self.from_client & sent),
        }
        self._shift = {is_client: self._scale(is_client) for is_client in (True, False)}

    def _tops(self, sender: Any, sent: Any) -> Any:
        """Return the highest number after what the sender had sent before each of its packets; far below at first."""
        flags = self._mine["tcp_flags"][sender]
        length = self._mine["payload"][sender].astype(np.int64) + ((flags & SYN) != 0) + ((flags & FIN) != 0)
        ends = np.where(sent[sender], self.seq[sender] + length, _FAR_BELOW)
        return np.concatenate([[_FAR_BELOW], np.maximum.accumulate(ends)[:-1]]) if len(ends) else ends

    def _scale(self, is_client: bool) -> int | None:
        """Return the window shift of an end, None if its SYN or the other's was not seen."""
        scales = []
        for sender in (self.from_client == is_client, self.from_client != is_client):
            syns = np.flatnonzero(sender & ~self.quoted & ((self._flags & (SYN | RST)) == SYN))
            if not len(syns):
                return None
            scales.append(int(self._mine["wscale"][syns[0]]))
        return 0 if NO_WSCALE in scales else min(scales[0], _LARGEST_SCALE)

    def window(self, i: int) -> tuple[int, bool]:
        """Return the window of packet i in bytes, and whether its scale is known."""
        window = int(self._mine["window"][i])
        if int(self._flags[i]) & SYN:
            return window, True  # never scaled (RFC 7323, 2.2)
        shift = self._shift[bool(self.from_client[i])]
        return window << (shift or 0), shift is not None

    def step(self, i: int) -> int | None:
        """Return how far packet i begins beyond what its sender had sent before, None if that was nothing."""
        top = int(self.top[i])
        return int(self.seq[i]) - top if top > _FAR_BELOW // 2 else None

    def probes(self, i: int) -> bool:
        """Return whether a packet asks an end whose window is shut whether it still is."""
        packet = self._mine[i]
        if int(self._flags[i]) & (SYN | FIN | RST) or packet["payload"] > 1 or self.seq[i] + 1 != self.top[i]:
            return False
        other = self._speaks[not self.from_client[i]]
        latest = int(np.searchsorted(other, i)) - 1
        return latest >= 0 and int(self._mine["window"][other[latest]]) == 0


def _unwrapped(values: Any, trusted: Any, base: int) -> Any:
    """Return 32-bit numbers as whole ones that do not wrap, counted from a base.

    Each number lies less than 2 GiB from the trusted one before it; the first from the base.
    """
    numbers = values.astype(np.int64)
    result = np.empty(len(numbers), np.int64)
    places = np.flatnonzero(trusted)
    steps = _signed(np.diff(numbers[places], prepend=base))
    chain = np.cumsum(steps)
    result[places] = chain
    others = np.flatnonzero(~trusted)
    if len(others):
        earlier = np.searchsorted(places, others) - 1
        anchor = np.where(earlier >= 0, earlier, 0)
        if len(places):
            result[others] = chain[anchor] + _signed(numbers[others] - numbers[places[anchor]])
        else:
            result[others] = _signed(numbers[others] - base)
    return result


def _signed(steps: Any) -> Any:
    """Return differences of sequence numbers as the nearest signed ones (RFC 1982)."""
    return ((steps + (1 << 31)) & 0xFFFFFFFF) - (1 << 31)
