"""A SYN's bytes are right by another implementation, and only its own answers are taken."""

from __future__ import annotations

import ipaddress
import struct

from hypothesis import given
from hypothesis import strategies as st

from lastack.prober.bpf import port_filter
from lastack.prober.syn_packet import position, read_reply, syn, tcp_of_ipv4
from lastack.wire.build import checksum

PORTS = st.integers(1, 65535)


@given(st.ip_addresses(v=4), st.ip_addresses(v=4), PORTS, PORTS, st.integers(0, 2**32 - 1))
def test_syn__has_a_right_checksum(
    source: ipaddress.IPv4Address, destination: ipaddress.IPv4Address, sport: int, dport: int, sequence: int
) -> None:
    segment = syn(source.packed, destination.packed, sport, dport, sequence)
    pseudo = source.packed + destination.packed + struct.pack(">BBH", 0, 6, len(segment))
    assert checksum(pseudo + segment) == 0
    assert segment[13] == 2


def answer(flags: int, ack: int, to: int = 4000, port: int = 80) -> bytes:
    return struct.pack(">HHIIBBHHH", port, to, 7, ack, 5 << 4, flags, 100, 0, 0)


def test_reply__is_a_syn_ack_or_a_rst_to_our_port() -> None:
    synack, rst = read_reply(answer(0x12, 9), 4000), read_reply(answer(0x14, 9), 4000)
    assert synack is not None
    assert rst is not None
    assert (synack.port, synack.refused, synack.acknowledged) == (80, False, 9)
    assert rst.refused
    assert read_reply(answer(0x12, 9, to=4001), 4000) is None
    assert read_reply(answer(0x10, 9), 4000) is None
    assert read_reply(answer(0x02, 9), 4000) is None
    assert read_reply(answer(0x12, 9)[:19], 4000) is None


def test_position__differs_by_key_and_target() -> None:
    one = position(b"k" * 16, b"\x0a\0\0\1", 80, 4000)
    assert one == position(b"k" * 16, b"\x0a\0\0\1", 80, 4000)
    assert (
        len({one, position(b"l" * 16, b"\x0a\0\0\1", 80, 4000), position(b"k" * 16, b"\x0a\0\0\1", 81, 4000)})
        == 3
    )


@given(st.binary(max_size=80))
def test_tcp_of_ipv4__takes_any_bytes(packet: bytes) -> None:
    read_reply(tcp_of_ipv4(packet), 4000)


def test_port_filter__is_whole_instructions() -> None:
    assert len(port_filter(4, 4000)) == 5 * 8
    assert len(port_filter(6, 4000)) == 4 * 8
