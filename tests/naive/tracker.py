"""The slow tracker: packets in, one plain dict for each session row out (definitions.md, section 2)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tests.naive.end import kind_of
from tests.naive.packets import ACK, RST, Packet
from tests.naive.row import row_of
from tests.naive.seen import unacked_bytes
from tests.naive.serial import MOD, distance, within
from tests.naive.session import Session, is_bare_ack

Key = tuple[tuple[str, int], tuple[str, int]]


@dataclass(slots=True)
class Slot:
    """What a key holds: the current session, and the earlier one while the current is only a SYN."""

    current: int
    shadow: int | None = None


class Tracker:
    """Places packets into sessions, in the order of the input; `idle_ns` is the longest silence of one, if any."""

    def __init__(self, idle_ns: int | None = None) -> None:
        self.idle_ns = idle_ns
        self.sessions: list[Session] = []
        self.slots: dict[Key, Slot] = {}
        self.quotations = 0

    def feed(self, packet: Packet) -> int | None:
        """Place one packet; return the index of its session, None for the quotation of an ICMP error."""
        here, there = (packet.src, packet.sport), (packet.dst, packet.dport)
        key = (here, there) if here <= there else (there, here)
        slot = self.slots.get(key)
        if packet.icmp is not None:
            self.quotations += 1
            if slot is not None:
                self._quote(self.sessions[slot.current], packet)
            return None
        kind = kind_of(packet)
        if slot is not None and self._timed_out(self.sessions[slot.current], packet):
            slot = self.slots[key] = self._open(key, packet, kind, slot)
            slot.shadow = None
            index = slot.current
        elif slot is None or self._splits(self.sessions[slot.current], packet, kind):
            if slot is not None and kind == "syn":
                before = self.sessions[slot.current]
                before.late_syns += before.established is not None and not before.over
            slot = self.slots[key] = self._open(key, packet, kind, slot)
            index = slot.current
        else:
            index = self._choose(slot, packet, kind)
        session = self.sessions[index]
        if packet.flags & RST and not any(event.packet.flags & RST for event in session.events):
            session.in_flight = (unacked_bytes(session, 0), unacked_bytes(session, 1))
            session.tops = (session.ends[0].highest_end, session.ends[1].highest_end)
        session.place(packet)
        return index

    def _open(self, key: Key, packet: Packet, kind: str, before: Slot | None) -> Slot:
        self.sessions.append(Session(packet, key[0], before.current if before else None))
        shadow = None
        if kind == "syn" and before is not None:
            # A SYN that splits a session which is only a SYN itself hands on what that one shadowed.
            shadow = before.current if before.shadow is None else before.shadow
        return Slot(len(self.sessions) - 1, shadow)

    def _timed_out(self, session: Session, packet: Packet) -> bool:
        return self.idle_ns is not None and packet.ts_ns - session.events[-1].latest_ns > self.idle_ns

    def _splits(self, session: Session, packet: Packet, kind: str) -> bool:
        me, other = session.ends[session.sender(packet)], session.ends[1 - session.sender(packet)]
        if kind == "syn":
            if session.over:
                return True
            if me.isn is not None:
                return packet.seq != me.isn
            if me.packets == 0 and other.sent_syn:
                return False  # simultaneous open
            return not session.precedes(packet)
        if kind == "synack":
            if me.isn == packet.seq:
                return False
            if other.isn is not None and other.highest_end is not None:
                return not within((packet.ack - 1) % MOD, other.isn, other.highest_end)
            return me.isn is not None or not session.precedes(packet)
        return False

    def _choose(self, slot: Slot, packet: Packet, kind: str) -> int:
        """Return the current session or its shadow; end the shadow when the current has more than SYNs."""
        if slot.shadow is None:
            return slot.current
        session = self.sessions[slot.current]
        client = session.first_syn_by
        assert client is not None, "only a SYN starts a session with a shadow"
        end = session.ends[client]
        assert end.isn is not None, "a client known by its SYN has an ISN"
        assert end.highest_end is not None, "and has sent something"
        from_client = session.sender(packet) == client
        if kind == "other":
            if from_client:
                ours = within(packet.seq, end.isn, end.highest_end)
            else:
                acks = bool(packet.flags & ACK)
                ours = acks and within((packet.ack - 1) % MOD, end.isn, end.highest_end)
            if not ours:
                shadow = self.sessions[slot.shadow]
                if not from_client and is_bare_ack(packet):
                    shadow.challenges.append(len(shadow.events))
                return slot.shadow
        if kind != "syn" or not from_client:
            slot.shadow = None
        return slot.current

    def _quote(self, session: Session, packet: Packet) -> None:
        sender = session.sender(packet)
        end, server = session.ends[sender], session.ends[1 - sender]
        if session.first_syn_by == sender and end.isn == packet.seq and server.packets == 0:
            session.icmp = packet.icmp
        too_big = (
            packet.icmp is not None and not packet.icmp.v6 and (packet.icmp.type, packet.icmp.code) == (3, 4)
        )
        if (
            end.highest_end is not None
            and not too_big
            and 0 <= distance(end.highest_end, packet.seq) <= 2**30
        ):
            session.quotes.append((packet, sender))


def track(packets: Iterable[Packet], idle_ns: int | None = None) -> list[dict[str, Any]]:
    """Return one row for each session in the order in which they began; `previous` is an index into them."""
    tracker = Tracker(idle_ns)
    for packet in packets:
        tracker.feed(packet)
    return [row_of(session) for session in tracker.sessions]
