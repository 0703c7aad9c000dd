"""Memory of rows: what a batch holds is never written again while it is held, and used again afterwards."""

from __future__ import annotations

import itertools
import mmap
from pathlib import Path

import numpy as np
import pytest
from tests.naive.packets import ACK, FIN, SYN, Packet
from tests.naive.write import write

import lastack
from lastack.kernels.row_columns import COLUMNS, GROUP_OF, GROUPS
from lastack.tracking.memory import Reserve
from lastack.tracking.rows import RowMemory

CLIENT, SERVER = ("10.0.0.1", 40000), ("10.0.0.2", 443)
ROWS = 1 << 10


def test_groups__name_columns_once_and_only_known_ones() -> None:
    assert sum(map(len, GROUPS)) == len(GROUP_OF)
    assert set(GROUP_OF) <= set(COLUMNS)


def test_memory__is_not_shared_while_a_column_of_it_is_held() -> None:
    memory = RowMemory(ROWS)
    held = memory.columns(ROWS)["start_ns"]
    held[:] = 7
    memory.columns(ROWS)["start_ns"][:] = 8
    assert (held == 7).all()


def test_memory__is_used_again_when_the_last_column_is_gone() -> None:
    memory = RowMemory(ROWS)
    columns = memory.columns(ROWS)
    place = columns["session_id"].ctypes.data
    last = columns["end_ns"]
    del columns
    assert memory.columns(ROWS)["session_id"].ctypes.data != place
    del last
    assert place in {memory.columns(ROWS)["session_id"].ctypes.data for _ in range(3)}


def test_memory__that_had_another_use_is_taken_if_it_is_large_enough() -> None:
    memory, small, large = RowMemory(ROWS), Reserve(mmap.PAGESIZE), Reserve(1 << 20)
    memory.give(large)
    memory.give(small)
    first = memory.columns(ROWS)["session_id"]
    assert first.ctypes.data not in (small.address, large.address)
    column = memory.columns(ROWS)["session_id"]
    assert column.ctypes.data == large.address
    del large
    column[:] = 7
    assert (column == 7).all()


def test_reserve__forgets_what_lies_behind_and_keeps_the_rest() -> None:
    reserve = Reserve(16 << 20, small=0)
    values = reserve.array(np.uint8)
    values[:] = 1
    reserve.forget_beyond(3 << 20)
    assert (values[: 3 << 20] == 1).all()
    assert not values[8 << 20 :].any()
    reserve.forget_beyond(64 << 20)


def test_memory__columns_do_not_overlap() -> None:
    spans = sorted(
        (a.ctypes.data, a.ctypes.data + a.nbytes) for a in RowMemory(ROWS).columns(ROWS - 1).values()
    )
    assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(spans))


@pytest.mark.parametrize("closing", [0, 1, 2])
def test_columns__of_a_group_hold_nothing_for_the_sessions_without_a_word(
    tmp_path: Path, closing: int
) -> None:
    """The session that touches a group may be any of the rows, the first or the last."""
    packets = []
    for place in range(3):
        ends = (CLIENT[0], CLIENT[1] + place, *SERVER)
        packets.append(Packet(place * 10**6, *ends, 100, 0, SYN))
        if place == closing:
            packets.append(Packet(place * 10**6 + 1, *ends, 101, 1, FIN | ACK))
    rows = lastack.track(write(tmp_path / "x.pcap", packets)).table.to_pylist()
    for place, row in enumerate(rows):
        assert (row["first_fin_ns"] is not None) == (place == closing)
        assert row["close_order"] == ("F" if place == closing else "")
        assert row["fin_clt"] == (1 if place == closing else 0)


def test_rows__of_a_run_are_held_apart_from_those_of_the_next(tmp_path: Path) -> None:
    many = [Packet(n * 1000, "10.0.0.1", 1024 + n, *SERVER, n, 0, SYN) for n in range(3000)]
    path = write(tmp_path / "x.pcap", many)
    first = lastack.track(path).table
    before = first.column("session_id").to_numpy().copy()
    lastack.track(path)
    assert np.array_equal(first.column("session_id").to_numpy(), before)
