"""The running picture of a pcapng file: its sections and interfaces so far, and the walker's view of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lastack.capture.pcapng import (
    Interface,
    Section,
    byte_order,
    parse_interface,
    parse_section,
    read_statistics,
    walker_row,
)
from lastack.capture.problem import Problems
from lastack.kernels.walk_pcapng import BLOCK_INTERFACE, BLOCK_SECTION, BLOCK_STATISTICS
from lastack.kernels.walk_state import INTERFACE, KIND_PCAPNG, WALK_STATE

#: Larger blocks are taken for damage: no writer makes them, and a pipe would have to hold them in memory.
BLOCK_CAP = 256 << 20
_INTERFACE_CAP = 65_536

SHORT = 0  #: the block is not whole yet
READ = 1
BAD = 2


@dataclass(slots=True)
class Sections:
    """Sections and interfaces in file order, the state of the walker, and the interfaces it may use now.

    Attributes:
        state: WALK_STATE array of one.
        table: INTERFACE array; the first `state["interfaces"]` belong to the current section.
        sections: All sections so far.
        interfaces: All interfaces so far (at most 65 536 are described).
    """

    problems: Problems
    state: Any = field(default_factory=lambda: np.zeros(1, WALK_STATE))
    table: Any = field(default_factory=lambda: np.zeros(8, INTERFACE))
    sections: list[Section] = field(default_factory=list)
    interfaces: list[Interface] = field(default_factory=list)
    _first: int = 0  # number of the current section's first interface

    def __post_init__(self) -> None:
        self.state["kind"] = KIND_PCAPNG
        self.state["limit"] = BLOCK_CAP
        self.state["orphan_at"] = -1

    @property
    def order(self) -> str:
        """The struct prefix of the current section's byte order."""
        return ">" if self.state["big_endian"][0] else "<"

    def reads(self, data: memoryview) -> bool:
        """Tell whether some bytes begin with a block that `read` is for."""
        if len(data) < 4:
            return False
        kind = int.from_bytes(data[:4], "big" if self.order == ">" else "little")
        return kind in (BLOCK_SECTION, BLOCK_INTERFACE, BLOCK_STATISTICS)

    def read(self, data: memoryview, offset: int, packet: int) -> tuple[int, int]:
        """Read the block that some bytes begin with and return (SHORT, READ or BAD, bytes of the block).

        Args:
            data: Bytes from the start of the block to the end of the window.
            offset: Byte of the stream where the block begins.
            packet: Number of the next packet.
        """
        if len(data) < 12:
            return SHORT, 0
        kind = int.from_bytes(data[:4], "little")
        order = byte_order(data) if kind == BLOCK_SECTION else self.order
        if order is None:
            return BAD, 0
        byteorder = "big" if order == ">" else "little"
        kind = int.from_bytes(data[:4], byteorder)  # type: ignore[arg-type]
        size = int.from_bytes(data[4:8], byteorder)  # type: ignore[arg-type]
        if size < 12 or size & 3 or size > BLOCK_CAP:
            return BAD, 0
        if size > len(data):
            return SHORT, 0
        block = bytes(data[: min(size, 1 << 20)])  # options beyond 1 MiB are not looked at
        if data[size - 4 : size] != data[4:8]:
            return BAD, 0
        if kind == BLOCK_SECTION:
            return (READ if self._open_section(block, offset) else BAD), size
        if kind == BLOCK_INTERFACE:
            return (READ if self._add_interface(block, offset, packet) else BAD), size
        if kind == BLOCK_STATISTICS and not read_statistics(block, order, self.interfaces[self._first :]):
            self.problems.add(
                offset, None, "interface statistics name no known interface", "they were ignored"
            )
        return READ, size

    def _open_section(self, block: bytes, offset: int) -> bool:
        section = parse_section(block, offset)
        if section is None:
            return False
        if section.version[0] != 1:
            major, minor = section.version
            self.problems.add(
                offset, None, f"pcapng version {major}.{minor} is not known", "it was read as 1.0"
            )
        if len(self.sections) < _INTERFACE_CAP:
            self.sections.append(section)
        self._first = len(self.interfaces)
        self.state["big_endian"] = section.big_endian
        self.state["interfaces"] = 0
        return True

    def _add_interface(self, block: bytes, offset: int, packet: int) -> bool:
        if len(self.interfaces) >= _INTERFACE_CAP:
            self.problems.add(
                offset, packet, "more than 65536 interfaces", "the packets of further ones are skipped"
            )
            return True
        interface = parse_interface(block, self.order, len(self.interfaces), max(0, len(self.sections) - 1))
        if interface is None:
            return False
        index = len(self.interfaces) - self._first
        self.interfaces.append(interface)
        if index >= len(self.table):
            self.table = np.concatenate([self.table, np.zeros(len(self.table), INTERFACE)])
        self.table[index] = walker_row(interface)
        self.state["interfaces"] = index + 1
        return True
