"""What the twin writes to a capture file, its reader and tshark read back unchanged."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from tests.naive.engines import naive, naive_through_file
from tests.naive.packets import ACK, FIN, PSH, RST, SYN, Icmp, Packet
from tests.naive.reader import read
from tests.naive.rows import compare
from tests.naive.write import to_bytes, write

BASE = 1_700_000_000_000_000_000
V4 = {"src": "10.0.0.1", "sport": 40000, "dst": "10.0.0.2", "dport": 443}
V6 = {"src": "2001:db8::1", "sport": 40000, "dst": "2001:db8::2", "dport": 443}

PACKETS = [
    Packet(BASE, **V4, seq=1, ack=0, flags=SYN, window=1000, wscale=7, ipid=5, number=1),
    Packet(BASE + 1, **V4, seq=2, ack=9, flags=ACK | PSH, payload=1400, ttl=3, ipid=6, number=2),
    Packet(BASE + 2, **V4, seq=2, ack=9, flags=FIN | ACK, payload=60_000, ipid=7, number=3),
    Packet(BASE + 3, **V4, seq=2**32 - 1, ack=9, flags=RST, payload=8, window=0, ipid=8, number=4),
    Packet(BASE + 4, **V4, seq=2, ack=9, flags=ACK, payload=200_000, ipid=7, number=5),
    Packet(BASE + 5, **V6, seq=7, ack=9, flags=ACK, payload=5, number=6),
    Packet(BASE + 6, **V6, seq=7, ack=9, flags=ACK, payload=100_000, number=7),
    Packet(BASE + 7, **V4, seq=1, ack=0, flags=0, window=65535, number=8, icmp=Icmp(False, 3, 1)),
    Packet(BASE + 8, **V6, seq=1, ack=0, flags=0, window=65535, number=9, icmp=Icmp(True, 1, 4)),
]


def test_write__reader_gives_the_same_packets() -> None:
    assert read(to_bytes(PACKETS)).packets == PACKETS


def test_write__twin_gives_the_same_rows() -> None:
    assert compare(naive(PACKETS), naive_through_file(PACKETS)) == []


@pytest.mark.tshark
@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not on the PATH")
def test_write__tshark_reads_the_same_lengths(tmp_path: Path) -> None:
    path = write(tmp_path / "a.pcap", PACKETS[:4])
    fields = ["-e", "tcp.len", "-e", "tcp.seq_raw", "-e", "ip.ttl", "-e", "tcp.window_size_value"]
    command = ["tshark", "-r", str(path), "-T", "fields", "-E", "separator=,", *fields]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    told = [tuple(map(int, line.split(","))) for line in text.split()]
    assert told == [(p.payload, p.seq, p.ttl, p.window) for p in PACKETS[:4]]


def test_compare__names_row_and_field_that_differ() -> None:
    rows = naive(PACKETS)
    changed = [dict(row) for row in rows]
    changed[0]["bytes_clt"] += 1
    assert [line.split()[1] for line in compare(rows, changed)] == ["bytes_clt:"]


def test_compare__order_of_rows_does_not_matter() -> None:
    rows = naive(PACKETS)
    assert all(row["previous"] is None for row in rows)
    assert compare(rows, rows[::-1]) == []


def test_compare__a_missing_row_is_a_difference() -> None:
    rows = naive(PACKETS)
    assert compare(rows, rows[1:]) == [f"only in a: 10.0.0.1:40000>10.0.0.2:443#{rows[0]['first_packet']}"]
