"""pcapng: sections, interfaces, blocks and times."""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.capture import build
from tests.unit.capture.build import (
    START_S,
    Packet,
    enhanced,
    interface,
    option,
    packets,
    read,
    section,
    simple,
)

from lastack.capture.source import open_capture
from lastack.model.batch import FRAME
from lastack.model.errors import InputError

ORDERS = ["<", ">"]


def write(folder: Path, *parts: bytes) -> Path:
    path = folder / "x"
    path.write_bytes(b"".join(parts))
    return path


@pytest.mark.parametrize("order", ORDERS)
def test_pcapng__enhanced_packets_are_read_in_both_byte_orders(tmp_path: Path, order: str) -> None:
    wanted = packets(20)
    reading = read(write(tmp_path, build.pcapng(wanted, order)))
    assert (reading.packets, reading.problems, reading.kind) == (wanted, [], "pcapng")


@pytest.mark.parametrize("order", ORDERS)
def test_pcapng__obsolete_packet_blocks_are_read(tmp_path: Path, order: str) -> None:
    wanted = packets(5)
    blocks = [build.obsolete(p.ts_ns // 1000, p.data, p.wirelen, order=order) for p in wanted]
    assert read(write(tmp_path, section(order), interface(order=order), *blocks)).packets == wanted


@pytest.mark.parametrize("order", ORDERS)
def test_pcapng__spb_uses_snaplen(tmp_path: Path, order: str) -> None:
    whole, cut = b"a" * 30, b"b" * 40
    path = write(
        tmp_path,
        section(order),
        interface(snaplen=40, order=order),
        simple(whole, 30, order),
        simple(cut, 99, order),
    )
    reading = read(path)
    assert reading.packets == [Packet(0, whole, 30), Packet(0, cut, 99)]
    assert reading.said("2 packets are in simple packet blocks")


def test_pcapng__spb_without_a_snap_length_is_as_long_as_its_block(tmp_path: Path) -> None:
    reading = read(write(tmp_path, section(), interface(), simple(b"b" * 40, 99)))
    assert reading.packets == [Packet(0, b"b" * 40, 99)]


def test_pcapng__sections_may_differ_in_byte_order_and_interfaces(tmp_path: Path) -> None:
    time = START_S * 10**6
    path = write(
        tmp_path,
        section("<"), interface(1), interface(101),
        enhanced(time, b"abcd", 4, 0), enhanced(time, b"efgh", 4, 1),
        section(">"), interface(113, order=">"),
        enhanced(time, b"ijkl", 4, 0, ">"),
        section("<"), interface(12), enhanced(time, b"mnop", 4, 0),
    )  # fmt: skip
    found = [(p.data, p.link, p.iface) for p in read(path).packets]
    assert found == [(b"abcd", 1, 0), (b"efgh", 101, 1), (b"ijkl", 113, 2), (b"mnop", 12, 3)]


def test_pcapng__interfaces_may_be_described_between_packets(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        section(),
        interface(1),
        enhanced(1, b"abcd", 4, 0),
        interface(228),
        enhanced(1, b"efgh", 4, 1),
    )
    assert [(p.link, p.iface) for p in read(path).packets] == [(1, 0), (228, 1)]


def test_pcapng__many_interfaces_are_kept_apart(tmp_path: Path) -> None:
    parts = [interface(link) for link in range(300)] + [enhanced(1, b"abcd", 4, k) for k in range(300)]
    assert [p.link for p in read(write(tmp_path, section(), *parts)).packets] == list(range(300))


RESOLUTIONS = [*range(21), 40, 127, *(0x80 | n for n in (0, 1, 10, 20, 31, 32, 33, 34, 40, 63, 64, 90, 127))]


@pytest.mark.parametrize("resolution", RESOLUTIONS, ids=hex)
@pytest.mark.parametrize("order", ORDERS)
def test_pcapng__times_of_every_resolution_are_exact(tmp_path: Path, resolution: int, order: str) -> None:
    per_second = Fraction(2) ** (resolution & 127) if resolution & 128 else Fraction(10) ** resolution
    wanted_ns = [0, 1, 999_999_999, START_S * 10**9 + 123_456_789, START_S * 10**9 + 987_654_321]
    ticks = {min(int(Fraction(ns, 10**9) * per_second), (1 << 64) - 1) for ns in wanted_ns} | {0, 7}
    ticks = {tick for tick in ticks if Fraction(tick) / per_second < 4 * 10**9}
    blocks = [enhanced(tick, b"abcd", 4, order=order) for tick in sorted(ticks)]
    described = interface(order=order, options=option(9, bytes([resolution]), order))
    found = [p.ts_ns for p in read(write(tmp_path, section(order), described, *blocks)).packets]
    assert found == [int(Fraction(tick) * 10**9 / per_second) for tick in sorted(ticks)]


@pytest.mark.parametrize("offset_s", [0, 1_600_000_000, -1_600_000_000, 1])
def test_pcapng__time_offset_is_added(tmp_path: Path, offset_s: int) -> None:
    described = interface(options=option(14, struct.pack("<q", offset_s)))
    (found,) = read(write(tmp_path, section(), described, enhanced(5_000_001, b"abcd", 4))).packets
    assert found.ts_ns == 5_000_001_000 + offset_s * 10**9


@settings(deadline=None)
@given(
    ticks=st.integers(0, (1 << 64) - 1),
    resolution=st.integers(0, 255),
    offset_s=st.integers(-(1 << 63), (1 << 63) - 1),
)
def test_pcapng__nonsense_times_stay_in_64_bits(
    tmp_path_factory: pytest.TempPathFactory, ticks: int, resolution: int, offset_s: int
) -> None:
    options = option(9, bytes([resolution])) + option(14, struct.pack("<q", offset_s))
    folder = tmp_path_factory.mktemp("x")
    path = write(folder, section(), interface(options=options), enhanced(ticks, b"abcd", 4))
    (found,) = read(path).packets
    assert -(1 << 63) <= found.ts_ns < 1 << 63
    with open_capture(path) as capture:
        assert capture.first_time_ns() == found.ts_ns


def test_pcapng__unknown_blocks_are_skipped(tmp_path: Path) -> None:
    wanted = packets(4)
    blocks = [enhanced(p.ts_ns // 1000, p.data, p.wirelen) for p in wanted]
    other = [build.block(0x0BAD, b"x" * n) for n in (0, 1, 4, 5000)]
    mixed = [part for pair in zip(other, blocks, strict=True) for part in pair]
    assert read(write(tmp_path, section(), interface(), *mixed), target=4096).packets == wanted


def test_pcapng__a_block_larger_than_the_window_is_skipped(tmp_path: Path) -> None:
    wanted = packets(2)
    blocks = [enhanced(p.ts_ns // 1000, p.data, p.wirelen) for p in wanted]
    huge = build.block(0x8000_0001, bytes(3 << 20))
    path = write(tmp_path, section(), interface(), blocks[0], huge, blocks[1])
    assert read(path, target=4096).packets == wanted


def test_pcapng__options_of_packets_do_not_disturb(tmp_path: Path) -> None:
    options = option(1, b"a comment") + option(0, b"")
    path = write(
        tmp_path, section(), interface(), enhanced(1, b"abcde", 9, options=options), enhanced(2, b"x", 1)
    )
    assert [p.data for p in read(path).packets] == [b"abcde", b"x"]


def test_pcapng__packets_of_interfaces_that_are_not_described_are_counted(tmp_path: Path) -> None:
    wanted = packets(2)
    blocks = [enhanced(p.ts_ns // 1000, p.data, p.wirelen) for p in wanted]
    lost = enhanced(1, b"lost", 4, iface=7)
    reading = read(write(tmp_path, section(), interface(), blocks[0], lost, lost, blocks[1]))
    assert reading.packets == wanted
    assert reading.said("2 packets belong to interfaces that are not described")
    assert reading.problems[0].offset == len(section() + interface() + blocks[0])


def test_pcapng__texts_and_statistics_are_kept(tmp_path: Path) -> None:
    about = option(2, b"a box") + option(3, b"Linux") + option(4, b"dumpcap") + option(1, b"noon")
    named = option(2, b"eth0") + option(3, b"uplink") + option(11, b"\0tcp") + option(13, b"\x04")
    path = write(
        tmp_path, section(options=about), interface(snaplen=96, options=named), build.statistics(0, 100, 3),
        build.statistics(0, 250, 5), build.statistics(9, 1, 1),
    )  # fmt: skip
    with open_capture(path) as capture:
        for window in capture.windows():
            assert capture.walk(window, np.zeros(4, FRAME)) == 0
        (top,), (port,) = capture.sections, capture.interfaces
    assert (top.hardware, top.os, top.application, top.comments) == ("a box", "Linux", "dumpcap", ["noon"])
    assert (port.name, port.description, port.filter, port.fcs_bytes) == ("eth0", "uplink", "tcp", 4)
    assert (port.received, port.dropped, port.snaplen) == (250, 5, 96)


def test_pcapng__without_a_byte_order_mark_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no byte order mark"):
        read(write(tmp_path, build.block(0x0A0D0D0A, bytes(40))))


def test_pcapng__an_unknown_version_is_read_and_noted(tmp_path: Path) -> None:
    head = build.block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 2, 9, -1))
    reading = read(write(tmp_path, head, interface(), enhanced(1, b"abcd", 4)))
    assert len(reading.packets) == 1
    assert reading.said("version 2.9")
