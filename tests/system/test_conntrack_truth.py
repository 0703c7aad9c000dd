"""The Linux engine against a real kernel: the same packets live and die, in the same states, on the same timers."""

from __future__ import annotations

import shutil

import pytest
from tests.naive.box import NaiveBox
from tests.naive.segments import to_segments
from tests.system.conntrack_lab import Record, Router, play, script

from lastack.firewall.machine import Machine
from lastack.firewall.table import Box, Ct, Linux, Table, TimerRow
from lastack.lab.netns import missing

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(missing()), reason=missing() or "a lab can be built"),
    pytest.mark.skipif(
        shutil.which("conntrack") is None, reason="needs conntrack (apt-get install conntrack)"
    ),
]

S = 1_000_000_000
#: Short enough that silences of some ticks meet them; the kernel's own proportions where they matter (300 s caps).
TIMERS = {
    "syn_sent": 2, "syn_recv": 1, "established": 6, "fin_wait": 3, "close_wait": 2, "last_ack": 1, "time_wait": 2,
    "close": 1, "max_retrans": 4, "unacknowledged": 4,
}  # fmt: skip
#: SYN_SENT2 has no sysctl in present kernels.
SYN_SENT2_S = 120
SWITCHES = {
    "strict": {"loose": 0, "be_liberal": 0},
    "loose": {"loose": 1, "be_liberal": 0},
    "liberal": {"loose": 1, "be_liberal": 1},
}
TICKS, TICK_S, SESSIONS = 16, 0.73, 300
#: A packet so near to a deadline is no evidence: the machine is shared and the kernel counts in jiffies.
MARGIN_NS = 120_000_000


def box_of(switches: dict[str, int]) -> Box:
    seconds = {
        **TIMERS,
        "syn_sent2": SYN_SENT2_S,
        "retrans": TIMERS["max_retrans"],
        "unack": TIMERS["unacknowledged"],
    }
    rows = tuple(TimerRow(state.name, seconds.get(state.name, 0) * S) for state in Ct)
    return Box((Table(rows, linux=Linux(bool(switches["loose"]), bool(switches["be_liberal"]))),))


@pytest.fixture(scope="module")
def records() -> dict[str, Record]:
    routers = []
    try:
        for switches in SWITCHES.values():
            routers.append(Router(TIMERS, switches))
        played = play(routers, [script(n, TICKS) for n in range(SESSIONS)], TICKS, TICK_S)
    finally:
        for router in routers:
            router.__exit__(None, None, None)
    return dict(zip(SWITCHES, played, strict=True))


def compare(record: Record, box: Box) -> tuple[list[str], int, int]:
    """Return what differs, and how many packets and entries were compared."""
    naive = NaiveBox(box)
    differences: list[str] = []
    unsure: set[object] = set()
    told: set[object] = set()
    packets = entries = done = 0
    for at_ns, sent, table in record.tables:
        for packet, through in list(zip(record.packets, record.through, strict=True))[done:sent]:
            here, there = (packet.src, packet.sport), (packet.dst, packet.dport)
            key = (min(here, there), max(here, there))
            known = naive.entries.get(key)
            if known is not None and abs(naive.deadline(known) - packet.ts_ns) < MARGIN_NS:
                unsure.add(key)
            action, reason, phase = naive.offer(packet, 0)
            if key in unsure or key in told:
                continue
            packets += 1
            if (action == 0) != through:
                told.add(key)
                seen = "passed" if through else "dropped"
                differences.append(f"{packet.number} {packet}: {seen}, not {reason.name} {Ct(phase).name}")
        done = sent
        for key, entry in naive.entries.items():
            left_ns = naive.deadline(entry) - at_ns
            if key in unsure or key in told or abs(left_ns) < MARGIN_NS:
                continue
            entries += 1
            opener, other = key[entry.opener], key[1 - entry.opener]
            found = table.get((*opener, *other))
            state = Ct(entry.phase).name
            if found is None and left_ns > 0:
                differences.append(f"{key}: no entry, not {state} {left_ns / S:.2f} s after packet {sent}")
            elif found is not None and left_ns < 0:
                differences.append(f"{key}: {found}, not gone, after packet {sent}")
            elif found is not None and (found[0] != state or abs(found[1] + 0.5 - left_ns / S) > 0.75):
                differences.append(f"{key}: {found}, not {state} {left_ns / S:.2f} s, after packet {sent}")
            else:
                continue
            told.add(key)
        keys = {min(k, (k[2], k[3], k[0], k[1])) for k in table}
        known_keys = {(*key[0], *key[1]) for key in (*naive.entries, *unsure, *told)}  # type: ignore[has-type]
        differences += [f"{key}: an entry that should not be there" for key in keys - known_keys]
    return differences, packets, entries


@pytest.mark.parametrize("name", SWITCHES)
def test_linux_engine__lives_and_dies_as_a_real_conntrack(records: dict[str, Record], name: str):
    differences, packets, entries = compare(records[name], box_of(SWITCHES[name]))
    assert not differences, f"{len(differences)} differences\n" + "\n".join(differences[:20])
    assert packets > 1_500
    assert entries > 750


@pytest.mark.parametrize("name", SWITCHES)
def test_compiled_machine__answers_as_the_slow_one_on_what_was_sent(records: dict[str, Record], name: str):
    record, box = records[name], box_of(SWITCHES[name])
    naive, machine = NaiveBox(box), Machine(box, live=True)
    segments = to_segments(record.packets)
    for place, packet in enumerate(record.packets):
        slow = tuple(map(int, naive.offer(packet, 0)))
        fast = machine.offer(segments.ctypes.data + place * segments.itemsize, packet.ts_ns)
        assert tuple(fast) == slow, packet
