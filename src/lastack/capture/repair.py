"""Going on after damage: the search for the next believable record, and the note that tells what was lost."""

from __future__ import annotations

import struct
from typing import Any

from lastack.capture.pcap import PcapHeader
from lastack.capture.problem import Problems
from lastack.capture.window import Window, view_of

_DAY_S = 86_400


class Repair:
    """Remembers where a capture became unreadable until a record is found again."""

    def __init__(self, state: Any, header: PcapHeader | None, problems: Problems) -> None:
        self._state = state
        self._header = header
        self._problems = problems
        self._lost: int | None = None
        self._packet = 0
        self._what = ""

    @property
    def lost(self) -> bool:
        """Whether no record start is known at the moment."""
        return self._lost is not None

    def lose(self, window: Window) -> bool:
        """Note the damage at the position of a window, and move it to the next believable record if there is one."""
        self._lost = window.origin + window.position
        self._packet = int(self._state["packets"][0]) + 1
        self._what = self._describe(window)
        window.position += 1 if self._header is not None else 4
        return self.find(window)

    def find(self, window: Window) -> bool:
        """Move a window to the next believable record; if there is none, to where the search must go on."""
        from lastack.kernels.resync import resync

        assert self._lost is not None
        first_s, last_s = plausible_seconds(self._state, 400)
        found = -1 if window.last else -2 - window.position
        if window.position < window.end:
            where = window.base, window.position, window.end
            found = int(resync(*where, self._state[0], first_s, last_s, window.last, True))
        if found >= 0:
            window.position = found
            until = window.origin + found
            remedy = f"{until - self._lost} bytes were skipped, reading went on at byte {until}"
        elif window.last:
            until = window.origin + window.end
            window.position = window.end
            remedy = f"no believable record follows, the last {until - self._lost} bytes were not read"
        else:
            window.position = -2 - found
            return False
        self._problems.add(self._lost, self._packet, self._what, remedy)
        self._lost = None
        return found >= 0

    def _describe(self, window: Window) -> str:
        order = ">" if self._state["big_endian"][0] else "<"
        data = view_of(window, 24)
        if self._header is not None:
            caplen, wirelen = struct.unpack_from(order + "II", data, 8)
            return f"the record header is damaged: it tells {caplen} captured bytes of {wirelen}"
        kind, size = struct.unpack_from(order + "II", data)
        return f"the block is damaged: type 0x{kind:08x}, length {size}"


def plausible_seconds(state: Any, days: int) -> tuple[int, int]:
    """Return the earliest and latest second that a record may have some time after the latest one."""
    if not state["packets"][0]:
        return 0, 1 << 32
    latest_s = int(state["last_ns"][0]) // 1_000_000_000
    return latest_s - _DAY_S, latest_s + days * _DAY_S
