"""The packets of a session, found again: the same that the slow twin put there."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.naive.packets import Packet
from tests.naive.reader import read
from tests.naive.tracker import Tracker
from tests.naive.write import to_bytes, write
from tests.property.strategies import PAIRS, packet_lists

import lastack
from lastack.app.cut import cut_packets
from lastack.app.slice import find_packets, packet_number

#: A verdict may take from the session before it, which is not in the cut: a port that was still in use.
VERDICT = ("cause", "cause_confidence", "actor", "harm")
SILENCE_NS = st.sampled_from([None, 10_000_000_000])


@given(packet_lists(PAIRS[:2]), SILENCE_NS)
def test_slice__has_the_packets_that_the_twin_placed(packets: list[Packet], idle_ns: int | None) -> None:
    twin = Tracker(idle_ns)
    for packet in read(to_bytes(packets)).packets:
        twin.feed(packet)
    expected = sorted([event.packet.number for event in session.events] for session in twin.sessions)
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "packets.pcap", packets)
        rows = lastack.track(path, idle_timeout_ns=idle_ns, threads=1).table.to_pylist()
        slices = [find_packets(row, [str(path)], idle_ns=idle_ns, threads=1) for row in rows]
    assert sorted([packet_number(o) for o in found.own["origin"].tolist()] for found in slices) == expected
    assert [note for found in slices for note in found.notes] == []


@given(packet_lists(PAIRS[:2]))
@settings(max_examples=60)
def test_cut__gives_the_same_record_again(packets: list[Packet]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, out = write(Path(folder) / "packets.pcap", packets), Path(folder) / "cut.pcapng"
        for row in lastack.track(path, threads=1).table.to_pylist():
            cut_packets(find_packets(row, [str(path)], threads=1), str(out))
            again = lastack.track(out, threads=1).table.to_pylist()
            if row["previous_id"] is not None or len(again) > 1:
                continue  # without the sessions before it, a late packet may begin one of its own
            different = {name for name, value in row.items() if again[0][name] != value}
            assert different <= {"sensor", "first_packet", "marks", "evidence", *VERDICT}
