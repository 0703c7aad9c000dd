"""Boxes for tests of what-if, and the comparison of the fast form with the slow box, session by session."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from tests.naive.fates import evaluate, follow
from tests.naive.packets import Packet

from lastack.app.profiles import load_profile
from lastack.firewall.compile import compile_profile
from lastack.firewall.table import (
    ANY,
    FOREVER_NS,
    N_PHASES,
    PHASE_CODE,
    Box,
    Table,
    TimerRow,
    phase_table,
)
from lastack.firewall.words import Phase
from lastack.replay.harm import Loss
from lastack.replay.judge import Judged, judge
from lastack.replay.lanes import Readings
from lastack.replay.past import Past
from lastack.replay.readings import readings_of
from lastack.replay.recorded import past_of

OPENING = (Phase.syn_sent, Phase.syn_recv)


def box_table(
    seconds: Mapping[Phase, float],
    absolute: Iterable[Phase] = (),
    names: Mapping[Phase, str] | None = None,
    rst_check: int = 0,
) -> Table:
    """Return the numbers of a box with a timer for each phase, or one for several that share a name."""
    strict, given = set(absolute), names or {}
    rows: dict[str, TimerRow] = {}
    timer_of = [(0, 0)] * N_PHASES
    for phase in Phase:
        name = given.get(phase, phase.value)
        if name not in rows:
            length = seconds.get(phase)
            ns = FOREVER_NS if length is None else round(length * 1e9)
            mask = 0 if phase in strict else int(ANY)
            rows[name] = TimerRow(name, ns, int(phase in strict), (mask, mask))
        place = list(rows).index(name)
        timer_of[PHASE_CODE[phase]] = (place, place)
    return Table(tuple(rows.values()), tuple(timer_of), phase_table(), rst_check)


def shipped(name: str, **seconds: float) -> Table:
    """Return the numbers of a profile with some of its timers set."""
    from lastack.firewall.policy import Policy

    policy = Policy(name, name, {timer: round(value * 1e9) for timer, value in seconds.items()})
    return compile_profile(load_profile(name), policy)


BOXES: dict[str, Table] = {
    "idle": box_table(dict.fromkeys(Phase, 1.0) | {Phase.established: 5.0, Phase.unreplied: 5.0}),
    "idle_longer": box_table(
        {
            Phase.syn_sent: 5, Phase.syn_recv: 10, Phase.established: 31, Phase.unreplied: 31, Phase.fin1: 2,
            Phase.fin1_acked: 6, Phase.fin2: 1.5, Phase.closed: 2, Phase.rst: 1,
        }
    ),
    "absolute": box_table(
        {
            Phase.syn_sent: 5, Phase.syn_recv: 10, Phase.established: 30, Phase.unreplied: 30, Phase.fin1: 2,
            Phase.fin2: 1, Phase.rst_unverified: 3,
        },
        set(Phase) - {Phase.established, Phase.unreplied},
        {Phase.fin1_acked: "fin1", Phase.closed: "fin2", Phase.rst: "fin2"},
        3,
    ),
    "one_wait": box_table(
        {Phase.syn_sent: 5, Phase.syn_recv: 10, Phase.established: 60, Phase.unreplied: 60, Phase.fin1: 7},
        set(Phase) - {Phase.established, Phase.unreplied},
        dict.fromkeys((Phase.fin1_acked, Phase.fin2, Phase.closed, Phase.rst, Phase.rst_unverified), "fin1"),
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Compared:
    """How the fast form and the slow box agree.

    Attributes:
        sessions: Sessions of both.
        exact: Sessions that the fast form calls exact.
        broken: Sessions that the slow box breaks.
        wrong: What differs, in words.
    """

    sessions: int
    exact: int
    broken: int
    wrong: list[str]


@functools.cache
def readings(table: Table, repeats: bool) -> Readings:
    """Return the readings of a box, which are made once for all captures."""
    return readings_of([table], repeats)


class _Both:
    """A capture as the slow tracker and as the record have it."""

    def __init__(self, packets: list[Packet], rows: Any) -> None:
        self.packets, self.rows = packets, rows
        self.followed = follow(packets)
        self.past = past_of(rows)
        ids = rows["session_id"].to_numpy().tolist()
        self.packet_of = dict(zip(ids, rows["first_packet"].to_numpy().tolist(), strict=True))


_latest: list[_Both] = []


def _both(packets: list[Packet], rows: Any) -> _Both:
    """Return what all boxes share: a capture is held against one after the other."""
    if not _latest or _latest[0].packets is not packets or _latest[0].rows is not rows:
        _latest[:] = [_Both(packets, rows)]
    return _latest[0]


def judged(table: Table, past: Past) -> Judged:
    """Return the verdicts of the fast form, each session under the readings that are for it."""
    again = past.again
    plain, repeats = judge(past, readings(table, False)), judge(past, readings(table, True))

    def pick(a: Any, b: Any) -> Any:
        return np.where(again.reshape(-1, *[1] * (a.ndim - 1)), b, a)

    parts = [
        type(plain.kind)(**{n: pick(getattr(x, n), getattr(y, n)) for n in type(x).__dataclass_fields__})
        for x, y in ((plain.kind, repeats.kind), (plain.harsh, repeats.harsh))
    ]
    return Judged(parts[0], parts[1], pick(plain.exact, repeats.exact))


def compare(packets: list[Packet], table: Table, rows: Any) -> Compared:
    """Hold the fast form against the slow box.

    Args:
        packets: The capture.
        table: The box.
        rows: Its sessions, as the tracker gives them.
    """
    both = _both(packets, rows)
    verdicts, fates = evaluate(both.followed, Box((table,)))
    first: dict[int, int] = {}
    for verdict in verdicts:
        first.setdefault(verdict.session, verdict.number)
    by_first = {first[fate.session]: fate for fate in fates if fate.session in first}
    past, packet_of = both.past, both.packet_of
    found = judged(table, past)
    wrong = []
    for i, session in enumerate(past.session_id.tolist()):
        fate = by_first[packet_of[session]]
        kind, harsh = found.kind, found.harsh
        least, most = kind.lost_least[i].tolist(), harsh.lost_most[i].tolist()
        if found.exact[i]:
            same = bool(kind.broken[i]) == fate.broken
            if same and fate.broken:
                same = int(kind.died_ns[i]) == fate.broken_ns
                same &= sorted(least[:2]) == sorted(fate.lost_bytes)
                if least[2:] == most[2:]:  # which packets came before a run's end is not always known
                    same &= sum(least[2:]) == sum(fate.refused)
                # A FIN that is repeated after the entry went is a close lost to the box; its moment is not kept.
                same &= bool(past.repeated_fin[i]) or Loss(int(kind.loss[i])).name == fate.harm.value
        else:
            same = bool(kind.broken[i]) <= fate.broken <= bool(harsh.broken[i])
            if fate.broken and same:
                lost = sum(fate.lost_bytes)
                same = lost <= sum(most[:2]) and (not kind.broken[i] or sum(least[:2]) <= lost)
        if not same:
            wrong.append(
                f"session of packet {packet_of[session]}: exact {found.exact[i]}, broken {kind.broken[i]}/"
                f"{harsh.broken[i]} at {kind.died_ns[i]} lost {least} ({most}) {Loss(int(kind.loss[i])).name}; "
                f"the box: {fate.broken} at {fate.broken_ns} lost {fate.lost_bytes} {fate.refused} {fate.harm}"
            )
    return Compared(len(past), int(found.exact.sum()), sum(f.broken for f in fates), wrong)
