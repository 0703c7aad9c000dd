"""Entries of a session: which capture a packet number is of, and what stands for absent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.naive.packets import ACK, RST, SYN, Packet
from tests.naive.write import write

import lastack

CLIENT, SERVER = ("10.0.0.1", 40000), ("10.0.0.2", 443)
MS = 10**6


def said(number: int, sender: str, flags: int, seq: int, ack: int = 0) -> Packet:
    """Return a packet; its time tells its place among all."""
    ends = CLIENT + SERVER if sender == ">" else SERVER + CLIENT
    return Packet(number * MS, *ends, seq, ack, flags, number=number)


TALK = [
    said(1, ">", SYN, 100),
    said(2, "<", SYN | ACK, 500, 101),
    said(3, ">", ACK, 101, 501),
    said(4, "<", ACK, 501, 101),
    said(5, ">", ACK, 101, 501),
    said(6, "<", RST, 501),
    said(7, ">", ACK, 101, 501),
]


def entry_of(tmp_path: Path, *parts: list[Packet]) -> dict[str, Any]:
    """Return the evidence of the one session whose packets are in several captures."""
    paths = [write(tmp_path / f"{i}.pcap", part) for i, part in enumerate(parts)]
    (row,) = lastack.track(*paths).table.to_pylist()
    (entry,) = row["evidence"]
    return dict(entry)


def test_evidence__names_packets_by_their_numbers(tmp_path: Path) -> None:
    entry = entry_of(tmp_path, TALK)
    assert (entry["rst_packet"], entry["before_rst_packet"], entry["synack_packet"]) == (6, 5, 2)


def test_evidence__a_packet_of_another_capture_has_no_number_but_a_time(tmp_path: Path) -> None:
    entry = entry_of(tmp_path, TALK[:4], TALK[4:])
    assert entry["rst_packet"] == entry["before_rst_packet"] == 0
    assert (entry["rst_ns"], entry["before_rst_ns"]) == (6 * MS, 5 * MS)
    assert entry["before_rst_by"] == "client"


@pytest.mark.parametrize(("there", "before"), [([5], 0), ([2, 4], 3)])
def test_evidence__captures_side_by_side_are_not_mixed_up(
    tmp_path: Path, there: list[int], before: int
) -> None:
    here = [packet for packet in TALK if packet.number not in there]
    entry = entry_of(tmp_path, here, [packet for packet in TALK if packet.number in there])
    assert entry["rst_packet"] == len([packet for packet in here if packet.number <= 6])
    assert entry["before_rst_packet"] == before
    assert entry["synack_packet"] == (0 if 2 in there else 2)


def test_evidence__what_does_not_exist_is_null_or_nothing(tmp_path: Path) -> None:
    entry = entry_of(tmp_path, TALK[:6])
    assert entry["race_ns"] is None
    assert entry["rst_ack_step"] is None
    assert (entry["race_packet"], entry["tail_by"], entry["icmp_by"]) == (0, "none", "none")
    assert entry["rst_sender_silent"] is False


def test_evidence__clean_session_has_none(tmp_path: Path) -> None:
    path = write(tmp_path / "clean.pcap", TALK[:5])
    (row,) = lastack.track(path).table.to_pylist()
    assert row["evidence"] == row["marks"] == []
