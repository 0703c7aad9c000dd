"""What must not matter to the fast engine does not: windows, threads, and in which files the packets are."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.naive.engines import from_path
from tests.naive.packets import ACK, FIN, RST, SYN, Packet
from tests.naive.rows import Row, compare, from_table
from tests.naive.tracker import track as track_slowly
from tests.naive.write import write
from tests.property.crowd import crowd, crowds, in_time_order
from tests.property.strategies import packet_lists

import lastack
from lastack.app import decoding
from lastack.app.api import Sessions
from lastack.app.options import RunSummary, TrackOptions
from lastack.app.pipeline import track_captures

settings.register_profile("fewer", settings(), max_examples=max(5, settings().max_examples // 5))
FEWER = settings.get_profile("fewer")
SMALL_WINDOW = 4096
#: Sessions of a crowd that no table of the smallest size (64 in each of 8 shards) can hold.
TOO_MANY = 700
PLACE = {"sensor", "first_packet"}
PLACED = (
    "client_ip", "client_port", "server_ip", "server_port", "packets_clt", "packets_srv", "bytes_clt", "bytes_srv"
)  # fmt: skip


@contextmanager
def files_of(*parts: Sequence[Packet]) -> Iterator[list[Path]]:
    """Write each part to a capture file; parts without packets make no file."""
    with tempfile.TemporaryDirectory() as folder:
        yield [write(Path(folder) / f"{i}.pcap", part) for i, part in enumerate(parts) if part]


def rows(sessions: Sessions, without: set[str] = frozenset()) -> list[Row]:
    """Return the rows of a run as they come, but for some columns."""
    return sessions.table.drop_columns(sorted(without)).to_pylist()


@FEWER
@given(crowds())
def test_fast__windows_do_not_matter(packets: list[Packet]) -> None:
    with files_of(packets) as paths:
        assert rows(lastack.track(*paths, window_bytes=SMALL_WINDOW)) == rows(lastack.track(*paths))


@FEWER
@given(crowds())
def test_fast__threads_do_not_matter(packets: list[Packet]) -> None:
    with files_of(packets) as paths, mock.patch.object(decoding, "_WORTH_SPLITTING", SMALL_WINDOW):
        one, two, three = (lastack.track(*paths, threads=threads) for threads in (1, 2, 3))
    assert rows(one) == rows(two) == rows(three)
    # which packets are earlier than the one before is not known where a part begins
    ledgers = [replace(run.summary.ledger, backwards=0) for run in (one, two, three)]
    assert ledgers[0] == ledgers[1] == ledgers[2]


@FEWER
@given(crowds(2), st.integers(2, 3), st.booleans())
def test_fast__packets_in_several_files_are_those_of_one(
    packets: list[Packet], n: int, small_windows: bool
) -> None:
    packets = in_time_order(packets)
    window = SMALL_WINDOW if small_windows else None
    with files_of(packets) as whole, files_of(*(packets[i::n] for i in range(n))) as parts:
        together = lastack.track(*parts, window_bytes=window)
        assert anywhere(rows(together, PLACE)) == anywhere(rows(lastack.track(*whole), PLACE))
        assert together.summary.ledger.balances()


def anywhere(rows: list[Row]) -> list[Row]:
    """Return rows without the numbers of packets in their evidence, which depend on the file that they are in."""
    for row in rows:
        row["evidence"] = [
            {name: value for name, value in entry.items() if not name.endswith("_packet")}
            for entry in row["evidence"]
        ]
    return rows


@FEWER
@given(
    crowds(2), st.lists(st.integers(0, 1 << 20), min_size=1, max_size=3), st.randoms(use_true_random=False)
)
def test_fast__order_of_files_does_not_matter(packets: list[Packet], cuts: list[int], random: Any) -> None:
    packets = in_time_order(packets)
    at = [0, *sorted(cut % (len(packets) + 1) for cut in cuts), len(packets)]
    with files_of(*(packets[a:b] for a, b in pairwise(at))) as paths:
        shuffled = random.sample(paths, len(paths))
        assert rows(lastack.track(*shuffled)) == rows(lastack.track(*paths))


@given(packet_lists(), st.sampled_from([0, 999_999_999, 2_000_000_000, 30_000_000_000]))
def test_fast__equals_twin_with_idle_timeout(packets: list[Packet], idle_ns: int) -> None:
    engine = from_path(lambda path: from_table(lastack.track(path, idle_timeout_ns=idle_ns).table))
    assert compare(engine(packets), track_slowly(packets, idle_ns)) == []


@settings(FEWER, max_examples=5)
@given(st.lists(packet_lists().filter(bool), min_size=1, max_size=2))
def test_fast__full_table_loses_no_packet(lists: list[list[Packet]]) -> None:
    packets = crowd(lists, TOO_MANY)
    with files_of(packets) as paths:
        full, some = rows_of_full_table(paths)
        whole = lastack.track(*paths)
    assert full.ledger.balances()
    assert full.ledger.packets == len(packets)
    assert placed(some) == placed(rows(whole))
    assert len(some) >= len(whole)
    marked = sum(row["observed"] == "evicted" for row in some)
    assert marked >= full.evicted
    assert full.evicted > 0 or all(packet.icmp for packet in packets)


@pytest.mark.parametrize(
    ("seed", "idle_ns", "threads"), [(1, None, 1), (2, 10**9, 1), (3, None, 2), (4, 10**9, 3)]
)
def test_fast__full_table_with_ports_used_again_loses_no_packet(
    seed: int, idle_ns: int | None, threads: int
) -> None:
    packets = ports_used_again(Random(seed), 12_000)
    batches: list[Any] = []
    options = TrackOptions(
        max_sessions=1, idle_timeout_ns=idle_ns, threads=threads, window_bytes=16 * SMALL_WINDOW
    )
    with files_of(packets) as paths:
        summary = track_captures([str(path) for path in paths], options, batches.append)
    expected: dict[int, tuple[int, int]] = {}
    for packet in packets:
        port = max(packet.sport, packet.dport)
        count, size = expected.get(port, (0, 0))
        expected[port] = count + 1, size + packet.payload
    found = placed(pa.Table.from_batches(batches).select(list(PLACED)).to_pylist())
    assert {max(port for _, port in ends): total for ends, total in found.items()} == expected
    assert summary.ledger.balances()
    assert summary.evicted > 0
    assert summary.sessions == sum(batch.num_rows for batch in batches)


def ports_used_again(random: Random, n: int) -> list[Packet]:
    """Return packets of clients that come back to their ports, whatever state the session before has."""
    packets, now = [], 10**18
    for place in range(n):
        now += 2 * 10**9 if random.random() < 0.001 else random.randrange(10**6)
        port = 1024 + (place // 8 + random.randrange(900)) % 2000
        flags = random.choice([SYN, SYN, SYN | ACK, ACK, ACK, FIN | ACK, RST])
        payload = random.randrange(3) * 100 if flags == ACK else 0
        ends = ("10.0.0.1", port, "192.0.2.1", 443)
        from_client = random.random() < 0.7
        ends = ends if from_client else (*ends[2:], *ends[:2])
        packets.append(Packet(now, *ends, random.randrange(4) * 1000, 1000, flags, payload))
    return packets


def rows_of_full_table(paths: list[Path]) -> tuple[RunSummary, list[Row]]:
    """Track with the smallest table there is; the rows come as they left."""
    batches: list[Any] = []
    summary = track_captures([str(path) for path in paths], TrackOptions(max_sessions=1), batches.append)
    return summary, [row for batch in batches for row in batch.to_pylist()]


def placed(rows: list[Row]) -> dict[Any, tuple[int, int]]:
    """Return packets and bytes by pair of ends, over all their sessions."""
    total: dict[Any, tuple[int, int]] = {}
    for row in rows:
        ends = {(row["client_ip"], row["client_port"]), (row["server_ip"], row["server_port"])}
        packets, size = total.get(frozenset(ends), (0, 0))
        total[frozenset(ends)] = (
            packets + row["packets_clt"] + row["packets_srv"],
            size + row["bytes_clt"] + row["bytes_srv"],
        )
    return total
