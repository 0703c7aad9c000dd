"""Source NAT around the engine: ends behind it get outside ends, as RFC 5382 wants them; no sockets, no clock.

The engine always sees the ends' own addresses: a packet from inside is offered and then translated, one from outside
is translated and then offered. A session is translated as long as its entry lives; an outside port belongs to one
inside end while any session of it lives (endpoint-independent mapping, REQ-1), or to one session (`dependent`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from lastack.emulator.fragments import Remembered
from lastack.emulator.nat_packet import (
    TCP,
    Edit,
    Place,
    addresses,
    edit,
    place_of,
    quoted,
    rewrite,
    rewrite_error,
)
from lastack.emulator.nat_ports import End, Ports
from lastack.kernels.expiry_table import RESTARTED
from lastack.model.address import V4_PREFIX, format_address
from lastack.model.batch import ACK, SYN


class Inbound(IntEnum):
    """What a packet from outside is."""

    translated = (
        0  #: of a session, or about one; it has its inside end now (or its kind of address is not hidden)
    )
    unknown = 1  #: for a port of the NAT that nobody has, or for somebody who is hidden
    own = 2  #: for the host that the NAT runs on


@dataclass(frozen=True, slots=True)
class NatOptions:
    """How a NAT maps and filters.

    Attributes:
        addresses: Outside addresses, packed.
        low: Lowest port that it hands out.
        high: Highest.
        dependent: A port for each session, not for each inside end (address and port-dependent mapping).
        open_filter: Anybody outside may begin a session with a mapped port (endpoint-independent filtering).
    """

    addresses: tuple[bytes, ...]
    low: int = 10_000
    high: int = 65_535
    dependent: bool = False
    open_filter: bool = False


@dataclass(slots=True)
class NatCounts:
    """What a NAT did besides translating.

    Attributes:
        unsolicited: Packets from outside for a port that nobody has, or from somebody who may not begin.
        no_port: Packets from inside that began a session when every port was taken.
        untranslated: Packets from inside that are neither TCP nor an error about it.
        translated_errors: ICMP errors.
    """

    unsolicited: int = 0
    no_port: int = 0
    untranslated: int = 0
    translated_errors: int = 0


@dataclass(slots=True)
class _Session:
    out_key: bytes
    in_key: bytes
    out: Edit
    into: Edit
    holder: bytes
    outside: End


@dataclass(slots=True)
class _Mapping:
    outside: End
    sessions: int = 0


@dataclass(slots=True)
class Nat:
    """The translations of a box.

    Args:
        options: How it maps and filters.
    """

    options: NatOptions
    counts: NatCounts = field(default_factory=NatCounts)
    ports: Ports = field(init=False)
    _out: dict[bytes, _Session] = field(default_factory=dict)
    _in: dict[bytes, _Session] = field(default_factory=dict)
    _mappings: dict[bytes, _Mapping] = field(default_factory=dict)
    _inside: dict[End, End] = field(default_factory=dict)
    _pending: _Session | None = None
    _leaving: _Session | None = None
    _fragments: Remembered[tuple[Edit, bool]] = field(default_factory=Remembered)

    def __post_init__(self) -> None:
        self.ports = Ports(self.options.addresses, self.options.low, self.options.high)

    @property
    def mappings(self) -> int:
        """Outside ports taken."""
        return len(self._mappings)

    def translates(self, size: int) -> bool:
        """Return whether addresses of so many bytes are hidden: there is an outside address of that kind."""
        return any(True for _ in self.ports.for_size(size))

    def may_leave(self, packet: memoryview) -> bool:
        """Return whether a packet from inside could be translated; asked before the engine makes an entry."""
        key = _fast_key(packet)
        self._leaving = self._out.get(key) if key is not None else None
        if self._leaving is not None:
            return True
        place = place_of(packet)
        if place is None or not self.translates(place.size):
            return place is not None
        if place.protocol != TCP:
            # an error is looked at when it leaves
            if quoted(packet, place) is None:
                self.counts.untranslated += 1
                return False
            return True
        if not place.first or _key(packet, place) in self._out:
            return True
        if self._mapping(self._holder(packet, place)) is None and not self.ports.has_free(place.size):
            self.counts.no_port += 1
            return False
        return True

    def leave(self, packet: memoryview, *, partial: bool, has_entry: bool) -> bool:
        """Give the packet that `may_leave` allowed, if the engine lets it pass, its outside end.

        Returns whether it can leave.

        Args:
            packet: The packet; changed in place.
            partial: Its TCP checksum is for hardware to finish.
            has_entry: Whether the engine keeps an entry of its session.
        """
        found = self._leaving
        if found is not None:
            rewrite(packet, _FAST[packet[0] >> 4], found.out, of_source=True, partial=partial)
            return True
        place = place_of(packet)
        if place is None or not self.translates(place.size):
            return place is not None
        if place.protocol != TCP:
            return self._leave_error(packet, place)
        if not place.first:
            return self._later_fragment(packet, place, outward=True)
        found = self._out.get(_key(packet, place))
        if found is None and has_entry:
            found = self._begin(packet, place)
        if found is None:
            self.counts.no_port += 1
            return False
        if place.fragment:
            self._fragments.put(_fragment_key(packet, place), (found.out, True))
        rewrite(packet, place, found.out, of_source=True, partial=partial)
        return True

    def enter(self, packet: memoryview, *, partial: bool) -> Inbound:
        """Give a packet from outside its inside end, if it has one.

        Args:
            packet: The packet; changed in place when translated.
            partial: Its TCP checksum is for hardware to finish.
        """
        self._pending = None
        key = _fast_key(packet)
        found = self._in.get(key) if key is not None else None
        if found is not None:
            rewrite(packet, _FAST[packet[0] >> 4], found.into, of_source=False, partial=partial)
            return Inbound.translated
        place = place_of(packet)
        if place is None:
            return Inbound.unknown
        if not self.translates(place.size):
            return Inbound.translated
        if addresses(packet, place)[1] not in self.options.addresses:
            # who is hidden cannot be addressed from outside
            self.counts.unsolicited += 1
            return Inbound.unknown
        if place.protocol != TCP:
            return self._enter_error(packet, place)
        if not place.first:
            passed = self._later_fragment(packet, place, outward=False)
            return Inbound.translated if passed else Inbound.own
        if len(packet) < place.payload + 14:
            return Inbound.own
        end = (addresses(packet, place)[1], bytes(packet[place.payload + 2 : place.payload + 4]))
        if not self.ports.owns(*end):
            return Inbound.own
        found = self._in.get(_key(packet, place)) or self._invited(packet, place, end)
        if found is None:
            self.counts.unsolicited += 1
            return Inbound.unknown
        if place.fragment:
            self._fragments.put(_fragment_key(packet, place), (found.into, False))
        rewrite(packet, place, found.into, of_source=False, partial=partial)
        return Inbound.translated

    def entered(self, *, has_entry: bool) -> None:
        """Say whether the engine made an entry for what `enter` translated: only then a new session is kept."""
        if self._pending is not None and has_entry:
            self._keep(self._pending)
        self._pending = None

    def forget(self, lives: Any) -> None:
        """End the translations of sessions whose entries have ended.

        Args:
            lives: LIFE records.
        """
        for life in lives:
            if int(life["why"]) == RESTARTED:
                continue  # the session that took its place uses the same ports
            ports = int(life["ports"])
            low, high = (
                (_unmapped(life, half), port.to_bytes(2, "big"))
                for half, port in (("lo", ports >> 16), ("hi", ports & 0xFFFF))
            )
            for (one, sport), (other, dport) in ((low, high), (high, low)):
                session = self._out.get(one + other + sport + dport)
                if session is not None:
                    self._end(session)
                    break

    # ------------------------------------------------------------ sessions

    def _holder(self, packet: memoryview, place: Place) -> bytes:
        """Return what a mapping belongs to: an inside end, or a whole session."""
        if self.options.dependent:
            return _key(packet, place)
        source = bytes(packet[place.source : place.source + place.size])
        return source + bytes(packet[place.payload : place.payload + 2])

    def _mapping(self, holder: bytes) -> _Mapping | None:
        return self._mappings.get(holder)

    def _begin(self, packet: memoryview, place: Place) -> _Session | None:
        holder = self._holder(packet, place)
        mapping = self._mappings.get(holder)
        at = place.payload
        source, target = addresses(packet, place)
        sport, dport = bytes(packet[at : at + 2]), bytes(packet[at + 2 : at + 4])
        if mapping is None:
            outside = self.ports.take(place.size, int.from_bytes(sport, "big"))
            if outside is None:
                return None
            mapping = self._mappings[holder] = _Mapping(outside)
            self._inside[outside] = (source, sport)
        session = _session(holder, mapping.outside, (source, sport), (target, dport))
        self._keep(session)
        return session

    def _invited(self, packet: memoryview, place: Place, end: End) -> _Session | None:
        """Return the session that a SYN from outside would begin, if it may."""
        flags = packet[place.payload + 13]
        inside = self._inside.get(end)
        if inside is None or not self.options.open_filter or flags & (SYN | ACK) != SYN:
            return None
        holder = inside[0] + inside[1]
        if holder not in self._mappings:  # a port of one session is nobody else's
            return None
        peer = (addresses(packet, place)[0], bytes(packet[place.payload : place.payload + 2]))
        self._pending = _session(holder, end, inside, peer)
        return self._pending

    def _keep(self, session: _Session) -> None:
        self._out[session.out_key] = self._in[session.in_key] = session
        self._mappings[session.holder].sessions += 1

    def _end(self, session: _Session) -> None:
        del self._out[session.out_key]
        del self._in[session.in_key]
        mapping = self._mappings[session.holder]
        mapping.sessions -= 1
        if not mapping.sessions:
            del self._mappings[session.holder]
            del self._inside[mapping.outside]
            self.ports.give_back(mapping.outside)

    # ------------------------------------------------------------ what has no ports of its own

    def _later_fragment(self, packet: memoryview, place: Place, *, outward: bool) -> bool:
        remembered = self._fragments.get(_fragment_key(packet, place))
        if remembered is None or remembered[1] is not outward:
            return False
        rewrite(packet, place, remembered[0], of_source=outward)
        return True

    def _leave_error(self, packet: memoryview, place: Place) -> bool:
        found = quoted(packet, place)
        session = self._out.get(_turned_key(*found)) if found else None
        if found is None or session is None:
            self.counts.untranslated += 1
            return False
        self.counts.translated_errors += 1
        rewrite_error(packet, place, *found, session.out, outward=True)
        return True

    def _enter_error(self, packet: memoryview, place: Place) -> Inbound:
        found = quoted(packet, place)
        session = self._in.get(_turned_key(*found)) if found else None
        if found is None or session is None:
            return Inbound.own
        self.counts.translated_errors += 1
        rewrite_error(packet, place, *found, session.into, outward=False)
        return Inbound.translated


#: Packets without options or extension headers, by version.
_FAST = {4: Place(4, 12, 4, TCP, 20, True, b""), 6: Place(6, 8, 16, TCP, 40, True, b"")}


def _fast_key(packet: memoryview) -> bytes | None:
    """Return addresses and ports of a whole TCP packet without options, which lie side by side."""
    if len(packet) < 40:
        return None
    if packet[0] == 0x45:
        if packet[9] == TCP and not (packet[6] & 0x3F or packet[7]):
            return bytes(packet[12:24])
    elif packet[0] >> 4 == 6 and packet[6] == TCP and len(packet) >= 60:
        return bytes(packet[8:44])
    return None


def _key(packet: memoryview, place: Place) -> bytes:
    at = place.payload
    return bytes(packet[place.source : place.source + 2 * place.size]) + bytes(packet[at : at + 4])


def _turned_key(packet: memoryview, place: Place) -> bytes:
    """Return the key of packets the other way."""
    (source, target), at = addresses(packet, place), place.payload
    return target + source + bytes(packet[at + 2 : at + 4]) + bytes(packet[at : at + 2])


def _fragment_key(packet: memoryview, place: Place) -> bytes:
    return bytes(packet[place.source : place.source + 2 * place.size]) + place.fragment


def _session(holder: bytes, outside: End, inside: End, peer: End) -> _Session:
    return _Session(
        out_key=inside[0] + peer[0] + inside[1] + peer[1],
        in_key=peer[0] + outside[0] + peer[1] + outside[1],
        out=edit(*outside, *inside),
        into=edit(*inside, *outside),
        holder=holder,
        outside=outside,
    )


def _unmapped(life: Any, half: str) -> bytes:
    packed = int(life[f"{half}0"]).to_bytes(8, "big") + int(life[f"{half}1"]).to_bytes(8, "big")
    return packed[12:] if packed[:12] == V4_PREFIX else packed


def mapping_rows(nat: Nat) -> Iterable[dict[str, Any]]:
    """Yield the sessions of a NAT as JSON values: inside end, outside end, peer."""

    def text(address: bytes, port: bytes) -> str:
        full = address if len(address) == 16 else V4_PREFIX + address
        return f"{format_address(full)} {int.from_bytes(port, 'big')}"

    for session in nat._out.values():
        size = len(session.outside[0])
        key = session.out_key
        yield {
            "from": text(key[:size], key[2 * size : 2 * size + 2]),
            "outside": text(*session.outside),
            "to": text(key[size : 2 * size], key[2 * size + 2 :]),
        }
