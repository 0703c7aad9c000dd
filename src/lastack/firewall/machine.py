"""A box at work: the table of entries and the compiled machine that runs it. No input, no clock: time is an argument.

`offer` takes one segment and answers at once, for a live box; `run` takes many. Ended entries are handed over by
`take_ended` as LIFE records. With `live=True`, or a box with limited room, entries end on time by themselves
(`advance`, and each packet, sweep); otherwise an entry's end is noticed when its next packet comes, which changes no
verdict and costs nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from lastack.firewall.pack import pack_selectors, pack_tables
from lastack.firewall.table import Box
from lastack.kernels import expiry
from lastack.kernels.expiry_layout import ENTRY, GATE, LIFE, NEVER_NS, WHEEL

_FIRST_SLOTS = 1 << 10
_LOG = 1 << 12
NOBODY = 2  #: of `opener`: there is no inside


class Answer(NamedTuple):
    """What the box does with a segment.

    Attributes:
        action: 0 forward, 1 drop, 2 drop and send its sender a RST (`lastack.replay.outcome.Action`).
        reason: `lastack.replay.outcome.Reason`.
        phase: Phase code (or `Ct`) of its entry afterwards, 0 without.
    """

    action: int
    reason: int
    phase: int


class Machine:
    """The entries of one box.

    Args:
        box: What to run.
        live: Keep a wheel of deadlines, for `advance` and `next_deadline`.

    Raises:
        ValueError: The box does not fit the numeric form.
    """

    def __init__(self, box: Box, *, live: bool = False) -> None:
        self.box = box
        self._rules = pack_tables(box.tables)
        self._selectors, self._nets = pack_selectors(box)
        self.gate: Any = np.zeros(1, GATE)
        self.address = int(self.gate.ctypes.data)
        gate = self.gate
        gate["rules"], gate["selectors"] = self._rules.ctypes.data, self._selectors.ctypes.data
        gate["n_selectors"], gate["nets"] = len(box.selectors), self._nets.ctypes.data
        room = box.room
        gate["limit"], gate["factor"] = room.limit, 1.0
        gate["scale_from"], gate["scale_to"], gate["scale_by"] = room.scale_from, room.scale_to, room.scale_by
        gate["scale_every_ns"] = room.scale_every_ns
        gate["n_evict"] = len(room.evict)
        gate["evict"][0, : len(room.evict)] = room.evict
        gate["now_ns"] = gate["next_look_ns"] = -NEVER_NS
        self._use_entries(np.zeros(_FIRST_SLOTS, ENTRY))
        self._use_slots(np.zeros(_FIRST_SLOTS * 2, np.uint32))
        self._log: Any = np.zeros(_LOG, LIFE)
        gate["log"], gate["log_capacity"] = self._log.ctypes.data, len(self._log)
        self._ended: list[Any] = []
        self._wheel: Any = None
        self._swept = live or bool(room.limit or room.scale_from)

    def _use_entries(self, entries: Any) -> None:
        self._entries = entries
        self.gate["entries"], self.gate["capacity"] = entries.ctypes.data, len(entries)

    def _use_slots(self, slots: Any) -> None:
        self._slots = slots
        self.gate["slots"], self.gate["mask"] = slots.ctypes.data, len(slots) // 2 - 1

    def replace(self, box: Box) -> None:
        """Go on with other values, effects and selectors; entries stay, and live by the new timers from now on.

        Raises:
            ValueError: A table is missing, or has other timers or another engine: entries would lose their clocks.
        """
        for number, old in enumerate(self.box.tables):
            new = box.tables[number] if number < len(box.tables) else None
            same = new is not None and [t.name for t in new.timers] == [t.name for t in old.timers]
            if new is None or not same or (new.linux is None) != (old.linux is None):
                raise ValueError(
                    "the new policy must have the same profile and the same applications, in the same order "
                    "(more may follow)"
                )
        rules, selectors = pack_tables(box.tables), pack_selectors(box)
        self.box, self._rules, (self._selectors, self._nets) = box, rules, selectors
        gate = self.gate
        gate["rules"], gate["selectors"] = self._rules.ctypes.data, self._selectors.ctypes.data
        gate["n_selectors"], gate["nets"] = len(box.selectors), self._nets.ctypes.data
        if self._wheel is not None:
            expiry.rewind(self.address)

    def begin(self, now_ns: int) -> None:
        """Set the clock before the first segment; `offer` and `run` do it themselves."""
        if self._swept and self._wheel is None:
            self._wheel = np.zeros(WHEEL, np.uint32)
            self.gate["wheel"] = self._wheel.ctypes.data
            expiry.clear_wheel(self.address, now_ns)

    def serve(self) -> None:
        """Do what the kernel asks for with MORE: empty the log, give memory."""
        gate = self.gate[0]
        if gate["n_log"]:
            self._ended.append(self._log[: int(gate["n_log"])].copy())
            gate["n_log"] = 0
        if (gate["filled"] + 2) * 10 > (gate["mask"] + 1) * 7:
            old, mask = self._slots, int(gate["mask"])
            self._use_slots(np.zeros(len(old) * 2, np.uint32))
            expiry.regrow(old.ctypes.data, mask, self.address)
        if gate["free"] == 0 and gate["records"] + 2 >= gate["capacity"]:
            grown = np.zeros(len(self._entries) * 2, ENTRY)
            grown[: len(self._entries)] = self._entries
            self._use_entries(grown)

    def offer(self, segment: int, now_ns: int, opener: int = NOBODY) -> Answer:
        """Return what the box does with one segment.

        Args:
            segment: Address of a SEGMENT; its `ts_ns` is `now_ns`.
            now_ns: The time.
            opener: Direction (0: `lo` sends, 1: `hi` sends) that is the inside, if there is one.
        """
        if self._swept and self._wheel is None:
            self.begin(now_ns)
        while (answer := expiry.offer(self.address, segment, opener)) < 0:
            self.serve()
        return Answer(answer & 15, (answer >> 4) & 15, answer >> 8)

    def run(self, segments: Any, facts: Any) -> Any:
        """Return the answers for many segments in order, as numbers: action, reason << 4, phase << 8.

        Args:
            segments: SEGMENT array.
            facts: For each segment session << 8 | opener << 2 | adopt << 1 | fresh, a u8 array: the number of its
                session, the end that opened it (2 unknown), whether an entry may be made for it because the session
                was under way when the input began, and whether it is the session's first segment.
        """
        answers = np.zeros(len(segments), np.int32)
        if len(segments):
            self.begin(int(segments["ts_ns"][0]))
        done = 0
        while True:
            address, n = segments.ctypes.data, len(segments)
            done = int(expiry.offer_many(self.address, address, done, n, facts, answers))
            if done == n:
                return answers
            self.serve()

    def advance(self, now_ns: int) -> None:
        """End every entry that is due by a time (needs `live`)."""
        self.begin(now_ns)
        while not expiry.advance(self.address, now_ns):
            self.serve()

    def next_deadline(self) -> int | None:
        """Return when `advance` may next have something to end, in ns; None if nothing is due (needs `live`)."""
        if self._wheel is None:
            return None
        due = int(expiry.next_deadline(self.address))
        return None if due >= NEVER_NS else due

    def flush(self, now_ns: int) -> None:
        """End every entry: those due by a time as expired, the others as still open (`gone_ns` NEVER_NS)."""
        index = 1
        while (index := int(expiry.flush(self.address, now_ns, index))) <= int(self.gate["records"][0]):
            self.serve()

    def take_ended(self) -> Any:
        """Return the LIFE records of entries that ended since the last call, in the order in which they ended."""
        self.serve()
        ended, self._ended = self._ended, []
        return np.concatenate(ended) if ended else np.zeros(0, LIFE)

    @property
    def has_ended(self) -> bool:
        """Whether `take_ended` has anything to return."""
        return bool(self._ended) or bool(self.gate["n_log"][0])

    def entries(self) -> Any:
        """Return the ENTRY records that are held, a copy."""
        held = self._entries[1 : int(self.gate["records"][0]) + 1]
        return held[held["alive"] != 0]

    def clear(self) -> int:
        """End every entry at once, as an administrator does; return how many."""
        before = self.live
        index = 1
        while (index := int(expiry.clear(self.address, index))) <= int(self.gate["records"][0]):
            self.serve()
        return before

    @property
    def live(self) -> int:
        """Entries held; without sweeping, those whose end was not noticed yet included."""
        return int(self.gate["live"][0])

    def counts(self) -> dict[tuple[int, int], int]:
        """Return how many segments met each (action, reason)."""
        places = np.flatnonzero(self.gate["reasons"][0])
        return {(int(p) // 16, int(p) % 16): int(self.gate["reasons"][0, p]) for p in places}
