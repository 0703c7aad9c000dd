"""From the numbers of a box to what-if's lanes: which timer runs in each stage, and where the record leaves it open.

What the session record can say exactly: idle timers that every packet refreshes, absolute timers that start with an
event whose moment is kept, one timer for each stage. For anything else two readings are made, one as kind and one
as harsh as the box may be, and `why` says what is open.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lastack.firewall.table import ANY, Refresh, Seg, Table
from lastack.replay.candidate import FLOOR_NS, OPEN_FLOOR_NS
from lastack.replay.conntrack import WHY, conntrack_lanes
from lastack.replay.lanes import FOREVER_NS, LANES, SHORTEST, STAGES, Lanes, Meeting, Readings, Stage
from lastack.replay.phases import phases_by_lane

_KEEP, _ABSOLUTE = 2, 1


@dataclass(frozen=True, slots=True)
class Clock:
    """What may run in a lane: the kind and the harsh of it.

    Attributes:
        timers: Places of the timers that may run.
        absolute: Whether the harshest counts time since its start.
        both: Whether the kindest does so too.
    """

    timers: tuple[int, ...]
    absolute: bool
    both: bool


def readings_of(tables: Sequence[Table], repeats: bool = False) -> Readings:
    """Return the readings of one application's timers under J settings.

    Args:
        tables: The application's numbers in each setting, from short to long timers; they differ in lengths only.
        repeats: For sessions in which SYNs or FINs came again.
    """
    first = tables[0]
    why: list[str] = []
    meeting = _meeting(first)
    if first.linux is not None:
        kind, harsh = (conntrack_lanes(tables, meeting, harsh=harsh) for harsh in (False, True))
        kind, harsh = replace(kind, other=harsh.ns), replace(harsh, other=kind.ns)
        why += WHY if meeting.open else WHY[:2]
        if not first.linux.be_liberal:
            why.append("segments out of the window are taken to be in it")
    else:
        clocks = _clocks(first, repeats, why)
        _apart(clocks, why)
        kind = _lanes(tables, clocks, meeting, harsh=False)
        harsh = _lanes(tables, clocks, meeting, harsh=True)
        if meeting.open:
            why.append("who sent the first packet after the entry ended is not kept")
    # What an entry that is made again would meet depends on all that may have ended it.
    kind.ns[SHORTEST] = harsh.ns[SHORTEST]
    if _too_short(kind):
        why.append("silences below 1 s (5 s while established) are not in the record")
    same = (
        bool((kind.ns == harsh.ns).all())
        and bool((kind.absolute == harsh.absolute).all())
        and not meeting.open
        and not _too_short(kind)
    )
    return Readings(kind, kind if same else harsh, tuple(dict.fromkeys(why)))


def _clocks(table: Table, repeats: bool, why: list[str]) -> list[Clock]:
    clocks = []
    reach = phases_by_lane(table, True)
    opening = (int(Stage.syn_sent), int(Stage.syn_recv))
    if not repeats and all(len(reach.get(stage, ())) <= 1 for stage in opening):
        # SYNs that come again while a session opens change nothing, and it is known that no others came.
        reach = phases_by_lane(table, False)
    for lane in range(SHORTEST):
        # Before the first FIN nobody has closed: both lanes are one.
        early = lane % STAGES <= Stage.established
        codes = reach.get(lane % STAGES if early else lane, frozenset())
        places = tuple(sorted({table.timer_of[code][lane >= STAGES and not early] for code in codes}))
        rows = [table.timers[place] for place in places]
        name = Stage(lane % STAGES).name
        if len(rows) > 1:
            why.append(f"{name}: {' or '.join(row.name for row in rows)} may run")
        strict = [row.mode == _ABSOLUTE for row in rows]
        odd = [row for row in rows if row.mode == _KEEP or _partial(row.refresh, lane, row.mode)]
        for row in odd:
            how = "goes on through the FIN" if row.mode == _KEEP else "is not refreshed by every packet"
            why.append(f"{row.name} {how}")
        if table.per_direction:
            why.append("each end has a clock of its own")
        clocks.append(
            Clock(places, any(strict) or bool(odd) or table.per_direction, all(strict) and bool(rows))
        )
    return clocks


def _partial(refresh: tuple[int, int], lane: int, mode: int) -> bool:
    """Return whether an idle timer is left alone by packets that a session in this lane may have."""
    if mode != 0:
        return False
    # Repeated SYNs are looked at apart (`lastack.replay.candidates`).
    needed = int(ANY) & ~(2 if lane % STAGES > Stage.syn_recv else 3) & ~1
    if lane % STAGES <= Stage.syn_recv:
        needed = 0
    return any(mask & 64 or (mask & needed) != needed for mask in refresh)


def _apart(clocks: list[Clock], why: list[str]) -> None:
    """Mark absolute timers that begin with the first FIN's ACK: the record does not keep that moment."""
    for lane in (Stage.fin1_acked, STAGES + Stage.fin1_acked):
        here, before = clocks[lane], clocks[lane - 1]
        if (here.absolute or before.absolute) and here.timers != before.timers:
            why.append("the moment of the first FIN's ACK is not kept")
            clocks[lane] = Clock(here.timers, True, False)
            clocks[lane - 1] = Clock(before.timers, True, False)


def _lanes(tables: Sequence[Table], clocks: list[Clock], meeting: Meeting, *, harsh: bool) -> Lanes:
    ns = np.full((LANES, len(tables)), FOREVER_NS, np.int64)
    for j, table in enumerate(tables):
        lengths = np.array([min(row.ns, FOREVER_NS) for row in table.timers], np.int64)
        for lane, clock in enumerate(clocks):
            if clock.timers:
                candidates = lengths[list(clock.timers)]
                ns[lane, j] = candidates.min() if harsh else candidates.max()
    ns[SHORTEST] = ns[:SHORTEST].min(axis=0)
    absolute = np.array([clock.absolute if harsh else clock.both for clock in clocks] + [False])
    timer = np.array([hash_of(clock.timers) for clock in clocks] + [0], np.int64)
    one = tables[0]
    return Lanes(
        np.maximum.accumulate(ns, axis=1),
        absolute,
        timer,
        meeting,
        *_opening(one, clocks),
        one.linux is not None,
    )


def _opening(table: Table, clocks: list[Clock]) -> tuple[NDArray[np.bool_], bool]:
    """Return what repeated SYNs and SYN-ACKs restart, and whether that is all there is to an opening."""
    renews = np.zeros((2, 2), np.bool_)
    plain = not table.per_direction
    for stage in (Stage.syn_sent, Stage.syn_recv):
        timers = clocks[stage].timers
        plain &= len(timers) == 1 and table.timers[timers[0]].mode != _KEEP
        for kind, bit in enumerate((Refresh.syn, Refresh.syn_ack)):
            mask = table.timers[timers[0]].refresh[kind]
            plain &= not mask & Refresh.in_window
            renews[stage, kind] = bool(mask & bit)
    return renews, bool(plain)


def hash_of(timers: tuple[int, ...]) -> int:
    """Return a number that two lanes share if, and only if, the same timers may run in them."""
    return sum(1 << place for place in timers)


def _meeting(table: Table) -> Meeting:
    """Return what happens to packets that meet no entry, by class: 0 refused, 1 let pass or taken up, 2 depends."""

    def fate(*classes: Seg) -> int:
        if table.linux is not None:
            # A FIN, RST or SYN-ACK is INVALID without an entry (nf_conntrack_proto_tcp.c, tcp_new).
            picked = table.linux.loose and Seg.ack in classes
            return 1 if picked or not table.linux.drop_invalid else 0
        let = {table.no_session[seg][side] in (2, 3) for seg in classes for side in (0, 1)}
        return 2 if len(let) > 1 else int(let.pop())

    return Meeting(fate(Seg.syn_ack), fate(Seg.data, Seg.ack), fate(Seg.fin), fate(Seg.rst))


def _too_short(lanes: Lanes) -> bool:
    """Return whether an idle timer is shorter than the silences that the record keeps, in some setting."""
    shortest = lanes.ns[:SHORTEST, 0]
    floors = np.array(
        [OPEN_FLOOR_NS if lane % STAGES == Stage.established else FLOOR_NS for lane in range(SHORTEST)]
    )
    late = np.arange(SHORTEST) % STAGES >= Stage.established
    return bool((late & ~lanes.absolute[:SHORTEST] & (shortest < floors)).any())
