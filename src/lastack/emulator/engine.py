"""The box itself, without sockets: a frame and a time go in, what to do with it comes out.

Runs the same machine as `replay`. The time is an argument, in ns; `speed` of a driver only changes what it passes here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from lastack.emulator.fragments import Fragments
from lastack.emulator.resets import Macs, answer_reset, expiry_resets
from lastack.firewall.machine import Machine
from lastack.firewall.table import Box
from lastack.kernels import expiry, inline
from lastack.kernels.expiry_flags import ADOPTED_R, MADE_R, PICKED_R, RESET, RESTARTED_R
from lastack.kernels.expiry_layout import NEVER_NS
from lastack.model.batch import SEGMENT
from lastack.model.enums import Drop

#: Link types of what drivers hand in.
ETHERNET, RAW_IP = 1, 101
FORWARD, DROP = 0, 1
_FRAGMENT = int(Drop.fragment)
_MADE = (MADE_R, PICKED_R, ADOPTED_R, RESTARTED_R)


@dataclass(slots=True)
class Counts:
    """What went through a box that is not in its machine's own counts.

    Attributes:
        others: Frames without TCP that were passed on (ARP, UDP, ICMP).
        fragments_passed: Later fragments that followed their first one.
        fragments_dropped: Those whose first one was dropped or never seen.
        strangers: ICMP errors about sessions of which there is no entry, dropped.
        resets: RSTs that the box sent.
        cut: Frames that did not fit the buffer or could not be sent on.
    """

    others: int = 0
    fragments_passed: int = 0
    fragments_dropped: int = 0
    strangers: int = 0
    resets: int = 0
    cut: int = 0


@dataclass(frozen=True, slots=True)
class Out:
    """A frame that the box sends by itself.

    Attributes:
        inside: Whether it leaves towards the inside.
        frame: Its bytes, without any header of the driver.
    """

    inside: bool
    frame: bytes


Logged = Callable[[dict[str, Any]], None]


@dataclass(slots=True)
class Engine:
    """A box at work.

    Args:
        box: What it does.
        link: ETHERNET or RAW_IP: what frames begin with.
        guarded: Whether there is an inside, from which alone sessions begin where the profile says so.
        logged: Called with an event for each entry that is made, changes its phase, or ends; None for no log.
        on_ended: Called by `forget_ended` with the LIFE records of entries that ended; None when nobody asks.
    """

    box: Box
    link: int = ETHERNET
    guarded: bool = True
    logged: Logged | None = None
    on_ended: Callable[[Any], None] | None = None
    counts: Counts = field(default_factory=Counts)
    machine: Machine = field(init=False)
    _segment: Any = field(init=False)
    _address: int = field(init=False)
    _fragments: Fragments = field(default_factory=Fragments)
    _macs: Macs = field(default_factory=Macs)
    _resets: bool = field(init=False)
    _phases: dict[bytes, int] = field(default_factory=dict)
    out: list[Out] = field(default_factory=list)
    ended: dict[str, int] = field(default_factory=dict)
    has_entry: bool = False  #: whether there is an entry for the segment offered last
    waiting: list[Any] = field(default_factory=list)  #: LIFE records for `on_ended`

    def __post_init__(self) -> None:
        self.machine = Machine(self.box, live=True)
        self._segment = np.zeros(1, SEGMENT)
        self._address = int(self._segment.ctypes.data)
        self._note_box()

    def _note_box(self) -> None:
        self._resets = any(timer.reset for table in self.box.tables for timer in table.timers)

    def offer(self, frame: memoryview, address: int, inside: bool, now_ns: int) -> bool:
        """Return whether a frame is to be passed on; what the box sends by itself is in `out` afterwards.

        Args:
            frame: The frame.
            address: Address of its first byte.
            inside: Whether it came from the inside.
            now_ns: The time.
        """
        side = (inline.FROM_INSIDE if inside else inline.FROM_OUTSIDE) if self.guarded else inline.NO_INSIDE
        machine = self.machine
        length = len(frame)
        while True:
            answer = inline.judge(machine.address, address, length, self.link, now_ns, side, self._address)
            if answer != expiry.MORE:
                break
            machine.serve()
        self.has_entry = answer > 255
        if answer < 0:
            return self._other(frame, inside, answer)
        action = answer & 15
        if (answer >> 4) & 15 in _MADE:
            self._collect()  # of an earlier session on these ports, its end comes first
        if self._resets and action == FORWARD:
            self._macs.learn(frame, inside, self.link)
        if self._fragments.first(frame, self.link):
            self._fragments.remember(frame, self.link, passed=action == FORWARD)
        if self.logged is not None:
            self._log(answer, now_ns)
        if action == FORWARD:
            return True
        if action == RESET:
            reset = answer_reset(frame, self.link)
            if reset:
                self.counts.resets += 1
                self.out.append(Out(inside, reset))
        return False

    def _other(self, frame: memoryview, inside: bool, answer: int) -> bool:
        if answer == inline.STRANGER:
            self.counts.strangers += 1
            return False
        if inline.OTHER - answer == _FRAGMENT:
            passed = self._fragments.follows(frame, self.link)
            if passed:
                self.counts.fragments_passed += 1
            else:
                self.counts.fragments_dropped += 1
            return passed
        self.counts.others += 1
        return True

    def advance(self, now_ns: int) -> None:
        """End what is due; RSTs that a profile sends at expiry are in `out` afterwards."""
        self.machine.advance(now_ns)
        self._collect()

    def _collect(self) -> None:
        if not self.machine.has_ended:
            return
        ended = self.machine.take_ended()
        if self.on_ended is not None:
            self.waiting.append(ended)
        for why, n in zip(*np.unique(ended["why"], return_counts=True), strict=True):
            name = _WHY[int(why)]
            self.ended[name] = self.ended.get(name, 0) + int(n)
        if self._resets:
            for life in ended[ended["why"] == 1]:
                timer = self.box.tables[int(life["table"])].timers[int(life["timer"])]
                for inside, reset in expiry_resets(life, timer.reset, self.link, self._macs):
                    self.counts.resets += 1
                    self.out.append(Out(inside, reset))
        if self.logged is not None:
            for life in ended:
                self._phases.pop(_key(life), None)
                self.logged(life_event(life, self.box))

    def forget_ended(self) -> None:
        """Tell `on_ended` of entries that ended, once what was sent about them has left."""
        waiting, self.waiting = self.waiting, []
        if self.on_ended is not None:
            for ended in waiting:
                self.on_ended(ended)

    def next_deadline(self) -> int | None:
        """Return when `advance` may have something to end, None when nothing is due."""
        return self.machine.next_deadline()

    def _log(self, answer: int, now_ns: int) -> None:
        assert self.logged is not None
        reason, phase = (answer >> 4) & 15, answer >> 8
        segment = self._segment[0]
        key = _key(segment)
        before = self._phases.get(key)
        if reason in _MADE or (phase and before != phase):
            self._phases[key] = phase
            event = "made" if reason in _MADE else "phase"
            self.logged({"event": event, "time_ns": now_ns, **_ends(segment), "phase": self._phase(phase)})
        elif answer & 15:
            word = "reset" if answer & 15 == RESET else "dropped"
            flags = int(segment["tcp_flags"])
            why = expiry_reason(reason)
            self.logged({"event": word, "time_ns": now_ns, **_ends(segment), "flags": flags, "reason": why})

    def _phase(self, code: int) -> str:
        return phase_name(code, self.box)

    def replace(self, box: Box) -> None:
        """Go on with other timers and effects; sessions stay, and live by the new timers from now on.

        Raises:
            ValueError: The new box has other timers than the old one, so that entries would lose theirs.
        """
        self.machine.replace(box)
        self.box = box
        self._note_box()


def _key(record: Any) -> bytes:
    return b"".join(bytes(record[name].tobytes()) for name in ("lo0", "lo1", "hi0", "hi1", "ports"))


def _ends(record: Any) -> dict[str, Any]:
    """Return both ends of a SEGMENT (in the order of sending) or LIFE record (opener first)."""
    from lastack.model.address import format_address

    ends = []
    ports = int(record["ports"])
    for half, port in (("lo", ports >> 16), ("hi", ports & 0xFFFF)):
        packed = int(record[f"{half}0"]).to_bytes(8, "big") + int(record[f"{half}1"]).to_bytes(8, "big")
        ends.append((format_address(packed), port))
    swap = int(record["opener"]) == 1 if "opener" in record.dtype.names else int(record["meta"]) & 1
    first, second = reversed(ends) if swap else ends
    return {"from": f"{first[0]} {first[1]}", "to": f"{second[0]} {second[1]}"}


def phase_name(code: int, box: Box) -> str:
    """Return the name of a phase code."""
    from lastack.firewall.table import PHASE_CODE, Ct

    if box.tables and box.tables[0].linux is not None:
        return Ct(code).name
    return next((phase.value for phase, number in PHASE_CODE.items() if number == code), "none")


_REASONS = (
    "entry",
    "made",
    "picked_up",
    "adopted",
    "restarted",
    "passed",
    "no_entry",
    "full",
    "unbelieved",
    "invalid",
)
_WHY = ("open", "expired", "restarted", "evicted", "deleted")


def expiry_reason(code: int) -> str:
    """Return the name of an answer's reason."""
    return _REASONS[code] if code < len(_REASONS) else str(code)


def life_event(life: Any, box: Box) -> dict[str, Any]:
    """Return the event of an ended entry."""
    timer = box.tables[int(life["table"])].timers[int(life["timer"])]
    return {
        "event": "gone",
        "time_ns": int(life["gone_ns"]),
        **_ends(life),
        "phase": phase_name(int(life["phase"]), box),
        "timer": timer.name,
        "why": _WHY[int(life["why"])],
        "made_ns": int(life["made_ns"]),
        "lived_ns": int(life["gone_ns"]) - int(life["made_ns"]),
    }


def session_rows(machine: Machine, box: Box, now_ns: int, limit: int) -> list[dict[str, Any]]:
    """Return the entries as JSON values, the ones that end first in front.

    Args:
        machine: The entries.
        box: What they run on.
        now_ns: The box's time.
        limit: Entries at most.
    """
    entries = machine.entries()
    timers = [[timer.ns for timer in table.timers] for table in box.tables]
    due = np.array(
        [min(int(e["since"].min()) + timers[int(e["table"])][int(e["clock"])], NEVER_NS) for e in entries],
        np.int64,
    )
    rows = []
    for place in np.argsort(due, kind="stable")[:limit]:
        entry = entries[place]
        timer = box.tables[int(entry["table"])].timers[int(entry["clock"])]
        rows.append(
            {
                **_ends(entry),
                "phase": phase_name(int(entry["phase"]), box),
                "timer": timer.name,
                "application": box.tables[int(entry["table"])].name,
                "age_ns": now_ns - int(entry["made_ns"]),
                "silent_ns": now_ns - int(entry["latest_ns"]),
                "left_ns": None if due[place] >= NEVER_NS else int(due[place]) - now_ns,
            }
        )
    return rows


def entries_by_phase(machine: Machine, box: Box) -> dict[str, int]:
    """Return how many entries are in each phase."""
    phases = np.bincount(machine.entries()["phase"], minlength=1)
    return {phase_name(code, box): int(n) for code, n in enumerate(phases) if n and code}
