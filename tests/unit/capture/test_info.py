"""What is told of a capture file as a whole."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from tests.unit.capture import build
from tests.unit.capture.build import Packet, enhanced, interface, option, packets, pcap, section

from lastack.capture.info import describe
from lastack.model.errors import InputError


def test_describe__counts_packets_bytes_and_times(tmp_path: Path) -> None:
    wanted = packets(50)
    (tmp_path / "x").write_bytes(gzip.compress(pcap(wanted, ">", snaplen=99)))
    info = describe(tmp_path / "x")
    assert (info.kind, info.compression, info.version, info.byte_order) == ("pcap", "gzip", "2.4", "big")
    assert info.packets == 50
    assert info.captured_bytes == sum(len(packet.data) for packet in wanted)
    assert info.wire_bytes == sum(packet.wirelen for packet in wanted)
    assert (info.first_ns, info.last_ns) == (wanted[0].ts_ns, wanted[-1].ts_ns)
    assert info.truncated == sum(packet.wirelen > len(packet.data) for packet in wanted)
    assert info.stream_bytes == len(pcap(wanted))
    (only,) = info.interfaces
    assert (only.about.snaplen, only.about.resolution_text, only.packets) == (99, "10^-6 s", 50)


def test_describe__counts_times_that_go_backwards(tmp_path: Path) -> None:
    times = [5_000_000_000, 6_000_000_000, 2_000_000_000, 2_000_000_000, 9_000_000_000, 8_999_999_000]
    (tmp_path / "x").write_bytes(pcap([Packet(time, b"abcd", 4) for time in times]))
    info = describe(tmp_path / "x")
    assert (info.backwards, info.largest_step_back_ns) == (2, 4_000_000_000)
    assert (info.first_ns, info.last_ns) == (2_000_000_000, 9_000_000_000)


def test_describe__tells_interfaces_apart(tmp_path: Path) -> None:
    parts = [section(options=option(4, b"dumpcap")), interface(1, options=option(2, b"eth0")), interface(101)]
    parts += [enhanced(10, b"abcd", 9, 0), enhanced(20, b"abcdef", 6, 1), enhanced(30, b"ab", 2, 0)]
    parts += [build.statistics(0, 70, 5), section(">"), interface(113, order=">"), interface(12, order=">")]
    parts += [enhanced(5, b"x", 1, 0, ">")]
    (tmp_path / "x").write_bytes(b"".join(parts))
    info = describe(tmp_path / "x")
    assert (info.sections, info.byte_order, info.application) == (2, "mixed", "dumpcap")
    assert [(i.about.link, i.packets, i.wire_bytes) for i in info.interfaces] == [
        (1, 2, 11), (101, 1, 6), (113, 1, 1), (12, 0, 0)
    ]  # fmt: skip
    first = info.interfaces[0]
    assert (first.about.name, first.about.received, first.about.dropped) == ("eth0", 70, 5)
    assert (first.first_ns, first.last_ns) == (10_000, 30_000)
    assert info.interfaces[3].first_ns is None


def test_describe__without_packets_has_no_times(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(pcap([]))
    info = describe(tmp_path / "x")
    assert (info.packets, info.first_ns, info.last_ns, info.backwards) == (0, None, None, 0)
    assert info.stream_bytes == 24


def test_describe__tells_what_was_wrong(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(pcap(packets(3))[:-1])
    info = describe(tmp_path / "x")
    assert (info.packets, info.problem_count) == (2, 1)
    (problem,) = info.problems
    assert problem.packet == 3
    assert str(problem).startswith(f"packet 3, byte {len(pcap(packets(2)))}: ")


def test_describe__of_no_capture_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"hello, world\n")
    with pytest.raises(InputError):
        describe(tmp_path / "x")
