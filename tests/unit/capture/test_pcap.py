"""Classic pcap in every dialect."""

from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.capture.build import Packet, packets, pcap, read

from lastack.capture.pcap import parse_header
from lastack.model.errors import InputError

ORDERS = ["<", ">"]
MAGICS = {0xA1B2C3D4: 1000, 0xA1B23C4D: 1, 0xA1B2CD34: 1000, 0xA12B3C4D: 1}


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("magic", MAGICS, ids=hex)
def test_pcap__of_every_magic_is_read_in_both_byte_orders(tmp_path: Path, order: str, magic: int) -> None:
    wanted = packets(20, MAGICS[magic])
    path = tmp_path / "x"
    path.write_bytes(pcap(wanted, order, magic))
    reading = read(path)
    assert (reading.packets, reading.problems, reading.kind) == (wanted, [], "pcap")


@pytest.mark.parametrize("order", ORDERS)
def test_pcap__version_2_2_has_its_lengths_swapped(tmp_path: Path, order: str) -> None:
    wanted = packets(9)
    (tmp_path / "x").write_bytes(pcap(wanted, order, version=(2, 2)))
    assert read(tmp_path / "x").packets == wanted


def test_pcap__version_2_3_swaps_lengths_only_where_the_captured_one_is_larger(tmp_path: Path) -> None:
    wanted = packets(9)
    mixed = pcap(wanted[:4], version=(2, 3)) + pcap(wanted[4:], version=(2, 2))[24:]
    (tmp_path / "x").write_bytes(mixed)
    assert read(tmp_path / "x").packets == wanted


def test_pcap__version_2_4_never_swaps_lengths(tmp_path: Path) -> None:
    wanted = [Packet(10**18, b"x" * 60, 40)]
    (tmp_path / "x").write_bytes(pcap(wanted))
    assert read(tmp_path / "x").packets == wanted


def test_pcap__fcs_bits_are_not_part_of_the_link_type(tmp_path: Path) -> None:
    wanted = packets(3)
    data = pcap(wanted, link=0x2400_0000 | 1)
    (tmp_path / "x").write_bytes(data)
    assert read(tmp_path / "x").packets == wanted
    header = parse_header(data)
    assert header is not None
    assert (header.link, header.fcs_bytes) == (1, 4)


def test_pcap__large_link_types_are_passed_through(tmp_path: Path) -> None:
    wanted = [replace(packet, link=276) for packet in packets(3)]
    (tmp_path / "x").write_bytes(pcap(wanted, link=276))
    assert read(tmp_path / "x").packets == wanted


def test_pcap__a_million_microseconds_and_more_are_added_as_they_stand(tmp_path: Path) -> None:
    record = struct.pack("<IIII", 5, 2_500_000, 4, 4) + b"abcd"
    (tmp_path / "x").write_bytes(pcap([]) + record)
    assert read(tmp_path / "x").packets == [Packet(7_500_000_000, b"abcd", 4)]


def test_pcap__seconds_are_unsigned(tmp_path: Path) -> None:
    wanted = [Packet(((1 << 32) - 1) * 10**9 + 999_999_000, b"abcd", 4)]
    (tmp_path / "x").write_bytes(pcap(wanted))
    assert read(tmp_path / "x").packets == wanted


def test_pcap__an_unknown_version_is_read_and_noted(tmp_path: Path) -> None:
    wanted = packets(3)
    (tmp_path / "x").write_bytes(pcap(wanted, version=(3, 0)))
    reading = read(tmp_path / "x")
    assert reading.packets == wanted
    assert reading.said("version 3.0")


def test_pcap__without_packets_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(pcap([]))
    reading = read(tmp_path / "x")
    assert (reading.packets, reading.problems) == ([], [])


def test_pcap__cut_in_its_header_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(pcap([])[:20])
    with pytest.raises(InputError, match=r"ends inside its file header \(20 bytes\)"):
        read(tmp_path / "x")


def test_pcap__a_snap_length_above_the_usual_allows_larger_records(tmp_path: Path) -> None:
    wanted = [Packet(10**18, bytes(400_000), 400_000)]
    (tmp_path / "x").write_bytes(pcap(wanted, snaplen=500_000))
    assert read(tmp_path / "x", target=4096).packets == wanted
