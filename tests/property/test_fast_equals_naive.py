"""The fast engine against the slow twin, which was written from the same page by another hand."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.naive import expected
from tests.naive.engines import fast, naive
from tests.naive.packets import Packet
from tests.naive.reader import read
from tests.naive.rows import compare, from_table
from tests.naive.write import to_bytes
from tests.property.strategies import mutated, noise
from tests.property.test_twin import damaged

ENGINE = fast()


@given(mutated())
def test_fast__equals_twin_on_conversations(packets: list[Packet]) -> None:
    assert compare(ENGINE(packets), naive(packets)) == []


@given(noise())
def test_fast__equals_twin_on_noise(packets: list[Packet]) -> None:
    assert compare(ENGINE(packets), naive(packets)) == []


@given(mutated(), st.lists(st.tuples(st.integers(0), st.integers(0, 255)), min_size=1, max_size=6))
def test_fast__equals_twin_on_damaged_bytes(packets: list[Packet], hits: list[tuple[int, int]]) -> None:
    import lastack

    blob = damaged(to_bytes(packets), hits)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "damaged.pcap"
        path.write_bytes(blob)
        rows = from_table(lastack.track(path).table)
    assert compare(rows, naive(read(blob).packets)) == []


@pytest.mark.shared
@pytest.mark.parametrize("name", expected.names())
def test_fast__equals_twin_on_real_captures(name: str) -> None:
    import lastack

    path = expected.FOLDER / name
    assert compare(from_table(lastack.track(path).table), naive(read(path).packets)) == []
