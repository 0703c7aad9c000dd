"""SYNs made in columns are those made one by one, and their answers are found again."""

from __future__ import annotations

import os
import socket
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastack.prober import syn_batch
from lastack.prober.syn_packet import syn

pytestmark = pytest.mark.skipif(not syn_batch.possible(), reason="sendmmsg is of 64-bit Linux")
NUMBERS = st.integers(0, 2**32 - 1)
PORTS = st.integers(0, 65535)


@given(st.lists(st.tuples(NUMBERS, NUMBERS, PORTS, NUMBERS), min_size=1, max_size=20), PORTS)
def test_syns__are_those_made_singly(rows: list[tuple[int, int, int, int]], source_port: int) -> None:
    sources, addresses, ports, sequences = (np.array(column) for column in zip(*rows, strict=True))
    made = syn_batch.syns(
        sources.astype(np.uint32), addresses.astype(np.uint32), ports.astype(np.uint16), source_port,
        sequences.astype(np.uint32),
    )  # fmt: skip
    for index, (source, address, port, sequence) in enumerate(rows):
        packed = source.to_bytes(4, "big"), address.to_bytes(4, "big")
        assert made[index].tobytes() == syn(*packed, source_port, port, sequence)


def test_positions__differ_by_target_port_and_key() -> None:
    addresses = np.arange(1 << 12, dtype=np.uint32) + np.uint32(0x0A000000)
    ports = np.full(len(addresses), 80, np.uint16)
    key = os.urandom(16)
    one = syn_batch.positions(key, addresses, ports, 4000)
    assert (one == syn_batch.positions(key, addresses, ports, 4000)).all()
    for other in (
        syn_batch.positions(os.urandom(16), addresses, ports, 4000),
        syn_batch.positions(key, addresses, ports + np.uint16(1), 4000),
        syn_batch.positions(key, addresses, ports, 4001),
    ):
        assert (one != other).sum() > len(one) - 5
    # as spread as chance: 4,096 numbers fall into 1,616 +- 25 of 2,048 buckets more than once or not at all
    filled = len(np.unique(one >> np.uint32(21)))
    assert abs(filled - 2048 * (1 - np.exp(-2))) < 120


def packet(options: int, flags: int, ack: int, to: int = 4000, cut: int = 0) -> bytes:
    head = bytes([0x45 + options]) + bytes(19) + bytes(4 * options)
    whole = head + struct.pack(">HHIIBBHHH", 80, to, 7, ack, 5 << 4, flags, 100, 0, 0)
    return whole[: len(whole) - cut]


def test_reader__takes_syn_ack_and_rst_to_its_port_only() -> None:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with near, far:
        reader = syn_batch.Reader(near.fileno(), 4000, count=4)
        for sent in (
            packet(0, 0x12, 10), packet(3, 0x14, 0), packet(0, 0x12, 10, to=4001), packet(0, 0x10, 10),
            packet(0, 0x12, 10, cut=1), b"", packet(10, 0x12, 99),
        ):  # fmt: skip
            far.send(sent)
        first = reader.read()
        second = reader.read()
        assert (first[0], second[0]) == (4, 3)
        assert first[1] is not None
        assert first[1]["number"].tolist() == [9, 2**32 - 1]
        assert first[1]["refused"].tolist() == [False, True]
        assert second[1] is not None
        assert second[1]["number"].tolist() == [98]
        assert reader.read() == (0, None)
