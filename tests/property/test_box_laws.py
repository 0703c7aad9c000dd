"""Laws of every box: time is relative, ends are alike, and longer timers never break more.

The last one holds while the table has room and no tuple is used again (a longer life can be in a new session's way);
and for timers that a packet can only restart, not for transitions that an earlier end would have spared.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.naive.packets import Packet
from tests.naive.segments import to_segments
from tests.property.any_box import boxes, flag_tables, linux_tables
from tests.property.strategies import PAIRS, conversations, packet_lists

from lastack.firewall.table import FOREVER_NS, Box, Room, Table, phase_table
from lastack.replay.evaluate import evaluation
from lastack.replay.outcome import Fate, Reason

#: Each example sets up a tracker and a table.
few = settings(max_examples=max(20, settings.default.max_examples // 4))


def numbered(packets: list[Packet]) -> list[Packet]:
    return [replace(p, number=i) for i, p in enumerate((p for p in packets if p.icmp is None), 1)]


def shifted(fate: Fate, by: int) -> Fate:
    lives = tuple(
        replace(life, made_ns=life.made_ns + by, gone_ns=None if life.gone_ns is None else life.gone_ns + by)
        for life in fate.lives
    )
    return replace(
        fate,
        lives=lives,
        broken_ns=None if fate.broken_ns is None else fate.broken_ns + by,
        first_refused_ns=fate.first_refused_ns + by if fate.broken else 0,
    )


@few
@given(packet_lists(), boxes(), st.sampled_from([1, 1 << 26, 3_600_000_000_000, -1_000_000_007]))
def test_shifting_time__shifts_every_answer(packets: list[Packet], box: Box, by: int):
    packets = numbered(packets)
    later = [replace(packet, ts_ns=packet.ts_ns + by) for packet in packets]
    before, answers, _ = evaluation(to_segments(packets), box)
    after, shifted_answers, _ = evaluation(to_segments(later), box)
    assert answers.tolist() == shifted_answers.tolist()
    assert [shifted(fate, by) for fate in before] == after


#: Names of the ends in the other order, so that `lo` becomes `hi`.
OTHER = {
    "10.0.0.1": "10.0.0.4",
    "10.0.0.2": "10.0.0.3",
    "2001:db8::1": "2001:db8::4",
    "2001:db8::2": "2001:db8::3",
}


@few
@given(packet_lists(), boxes())
def test_swapping_ends__changes_no_answer(packets: list[Packet], box: Box):
    box = replace(box, selectors=())
    packets = numbered(packets)
    # the midstream client is guessed by the smaller end in no rule, but an end that talks to itself has one name only
    assume(all((p.src, p.sport) != (p.dst, p.dport) for p in packets))
    turned = [replace(p, src=OTHER[p.src], dst=OTHER[p.dst]) for p in packets]
    _, answers, _ = evaluation(to_segments(packets), box)
    _, other, _ = evaluation(to_segments(turned), box)
    assert answers.tolist() == other.tolist()


def stretched(table: Table, factor: int) -> Table:
    rows = (replace(row, ns=min(row.ns * factor, FOREVER_NS)) for row in table.timers)
    return replace(table, timers=tuple(rows))


@few
@given(conversations([PAIRS[0]]), boxes(flag_tables()), st.sampled_from([2, 10, 1000]))
def test_longer_timers__never_break_more(packets: list[Packet], box: Box, factor: int):
    packets = numbered(packets)
    # one session, no packet back in time, and a box that drops what it does not know
    assume(all(a.ts_ns <= b.ts_ns for a, b in pairwise(packets)))
    tables = tuple(
        replace(
            table,
            transitions=phase_table(),
            rst_check=0,
            no_session=((2, 2), *((0, 0),) * 5),
            timers=tuple(replace(row, mode=0, refresh=(63, 63)) for row in table.timers),
        )
        for table in box.tables
    )
    box = replace(box, tables=tables, room=Room(), selectors=())
    longer = replace(box, tables=tuple(stretched(table, factor) for table in tables))
    short, _, _ = evaluation(to_segments(packets), box)
    assume(len(short) == 1)
    long, answers, _ = evaluation(to_segments(packets), longer)
    refused = [Reason(int(a) >> 4 & 15) for a in answers].count(Reason.no_entry)
    assert not long[0].broken or short[0].broken
    assert not long[0].broken or long[0].first_refused >= short[0].first_refused
    assert refused <= sum(short[0].refused) or not short[0].lives


@few
@given(packet_lists(), boxes(linux_tables()))
def test_box_without_limit__holds_as_many_entries_as_were_made_and_not_ended(packets: list[Packet], box: Box):
    packets = numbered(packets)
    box = replace(box, room=Room())
    fates, answers, _ = evaluation(to_segments(packets), box)
    made = {Reason.made, Reason.picked_up, Reason.adopted, Reason.restarted}
    begun = sum(Reason(int(a) >> 4 & 15) in made for a in answers)
    assert sum(len(fate.lives) for fate in fates) == begun
