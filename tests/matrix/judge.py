"""Asks the product about all versions of all cases in one run, and compares with what is right."""

from __future__ import annotations

import ipaddress
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.matrix.cases import Case, End, cases
from tests.matrix.derive import Version, versions
from tests.naive.packets import Packet
from tests.naive.write import write

import lastack
from lastack.diagnosis.rules import ACCUSING
from lastack.model.address import format_address

MODEST = ("unknown", "observer_limit")
ACCUSATIONS = frozenset(cause.name for cause in ACCUSING)


@dataclass(frozen=True, slots=True)
class Said:
    """What was said of one session of a version: `right` is empty where nothing is known of it."""

    version: Version
    right: tuple[str, ...]
    cause: str
    confidence: float
    observed: str

    @property
    def outcome(self) -> str:
        """`right`, `modest` or `wrong`."""
        if self.cause in self.right:
            return "right"
        return "modest" if self.cause in MODEST and self.version.kind != "whole" else "wrong"

    @property
    def slander(self) -> bool:
        """Whether somebody in the path is blamed for what he did not do."""
        return self.cause in ACCUSATIONS and not ACCUSATIONS & set(self.right)


@dataclass(slots=True)
class Results:
    """All that was said."""

    said: list[Said] = field(default_factory=list)

    def share(self, kind: str, *outcomes: str) -> float:
        """Return the share of some outcomes in the versions of a kind; each version counts once."""
        parts: dict[tuple[str, str], list[bool]] = {}
        for one in self.said:
            if one.version.kind == kind and one.right:
                at = (one.version.case.name, one.version.name)
                parts.setdefault(at, []).append(one.outcome in outcomes)
        return sum(sum(part) / len(part) for part in parts.values()) / len(parts) if parts else 1.0

    def slanders(self) -> list[str]:
        """Return the accusations that are false, one line each."""
        return [
            f"{one.version.case.name}, {one.version.name}: {one.cause}" for one in self.said if one.slander
        ]


def results(some: Sequence[Case] | None = None) -> Results:
    """Return what the product says of every version of every case."""
    every = [version for case in (cases() if some is None else some) for version in versions(case)]
    # What sees one direction only is a run of its own: the rules ask whether any session was seen in both.
    one_way = [version for version in every if version.kind == "one way"]
    others = [version for version in every if version.kind != "one way"]
    return Results([*_judged(others), *_judged(one_way)])


def _judged(every: Sequence[Version]) -> Iterator[Said]:
    addresses = Addresses()
    packets: list[Packet] = []
    for number, version in enumerate(every):
        packets += (addresses.move(packet, number) for packet in version.packets)
    with tempfile.TemporaryDirectory() as folder:
        table = lastack.track(write(Path(folder) / "all.pcap", packets)).table
    rows: dict[int, list[dict[str, Any]]] = {}
    for row in table.select(_COLUMNS).to_pylist():
        row["number"], row["client"] = addresses.origin(row["client_ip"], row["client_port"])
        _, row["server"] = addresses.origin(row["server_ip"], row["server_port"])
        rows.setdefault(row["number"], []).append(row)
    for number, version in enumerate(every):
        mine = sorted(rows.get(number, []), key=lambda row: row["first_packet"])
        for row, right in zip(mine, _right(version, mine), strict=True):
            yield Said(version, right, row["cause"], row["cause_confidence"], row["observed"])


_COLUMNS = [
    "client_ip", "client_port", "server_ip", "server_port", "first_packet", "cause", "cause_confidence",
    "observed",
]  # fmt: skip


def _right(version: Version, rows: list[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    """Yield what is right of each row: by its place, or (packets are missing) that of any session of its ends."""
    sessions = version.case.sessions
    if version.kind == "whole" and len(rows) == len(sessions):
        yield from (session.right for session in sessions)
        return
    for row in rows:
        key = frozenset({row["client"], row["server"]})
        yield tuple(
            dict.fromkeys(word for session in sessions if session.key == key for word in session.right)
        )


class Addresses:
    """Gives the ends of each version addresses of their own, so that all go into one capture."""

    def __init__(self) -> None:
        self._new: dict[tuple[int, str], str] = {}
        self._old: dict[str, tuple[int, str]] = {}

    def move(self, packet: Packet, number: int) -> Packet:
        """Return a packet of a version with its own addresses."""
        return replace(packet, src=self._own(packet.src, number), dst=self._own(packet.dst, number))

    def _own(self, address: str, number: int) -> str:
        key = (number, address)
        if key not in self._new:
            place = len(self._new) + 1
            new = (
                f"2001:db8:7::{place:x}" if ":" in address else str(ipaddress.IPv4Address((10 << 24) + place))
            )
            self._new[key] = new = str(ipaddress.ip_address(new))
            self._old[new] = key
        return self._new[key]

    def origin(self, address: bytes, port: int) -> tuple[int, End]:
        """Return the version that an address of a row belongs to, and the end that it was there."""
        number, old = self._old[format_address(address)]
        return number, (old, port)
