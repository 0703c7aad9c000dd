"""Counts of our own captures, stream by stream, are those of tshark; each difference is known and has a reason."""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.system.own_captures import CAPTURES, SAMPLE, Row, product_rows, twin_rows

pytestmark = [
    pytest.mark.tshark,
    pytest.mark.skipif(shutil.which("tshark") is None, reason="needs tshark (apt-get install tshark)"),
]

#: Captures in which tshark cuts the packets into other sessions, and why.
OTHER_SPLITS = {
    "reconnect_after_crash": "a new SYN ends the old stream at once: its challenge ACK and RST go to the new one",
}

_FIELDS = (
    "tcp.stream", "ip.src", "ipv6.src", "tcp.srcport", "ip.dst", "ipv6.dst", "tcp.dstport",
    "tcp.flags", "tcp.len", "tcp.completeness",
)  # fmt: skip
_COUNTS = ("packets", "bytes", "syn", "synack", "fin", "rst")
End = tuple[str, int]


class Stream:
    """What tshark says of one `tcp.stream`: counts by sending end, and the completeness bits."""

    def __init__(self) -> None:
        self.counts: dict[End, dict[str, int]] = defaultdict(lambda: dict.fromkeys(_COUNTS, 0))
        self.completeness = 0

    def add(self, source: End, target: End, flags: int, size: int) -> None:
        """Count one segment."""
        self.counts[target]  # an end that only receives is an end too
        mine = self.counts[source]
        mine["packets"] += 1
        mine["bytes"] += 0 if flags & 4 else size  # the text in a RST is not stream data
        mine["syn"] += flags & 0x12 == 2
        mine["synack"] += flags & 0x12 == 0x12
        mine["fin"] += flags & 1
        mine["rst"] += bool(flags & 4)


@functools.cache
def streams_of(path: Path) -> list[Stream]:
    """Return tshark's streams in order, asked for once; TCP quoted in ICMP errors is not a segment."""
    command = ["tshark", "-2", "-r", str(path), "-n", "-Y", "tcp && !icmp && !icmpv6", "-T", "fields"]
    command += ["-o", "tcp.desegment_tcp_streams:false", "-E", "occurrence=l"]
    for field in _FIELDS:
        command += ["-e", field]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    streams: dict[int, Stream] = defaultdict(Stream)
    for line in text.splitlines():
        number, src4, src6, sport, dst4, dst6, dport, flags, size, bits = line.split("\t")
        # an IPv6 packet in an IPv4 tunnel has both kinds of address, the innermost is the one of TCP
        source, target = (src6 or src4, int(sport)), (dst6 or dst4, int(dport))
        stream = streams[int(number)]
        stream.add(source, target, int(flags, 16), int(size or 0))
        stream.completeness = int(bits or 0)
    return [streams[number] for number in sorted(streams)]


def by_key(rows: list[Row]) -> dict[frozenset[End], list[Row]]:
    """Return the rows of each pair of ends, in order."""
    found: dict[frozenset[End], list[Row]] = defaultdict(list)
    for row in rows:
        found[_ends(row)].append(row)
    return found


@pytest.mark.parametrize("rows_of", [product_rows, twin_rows])
@pytest.mark.parametrize("path", [*CAPTURES, SAMPLE], ids=lambda path: path.stem)
def test_counts__are_those_of_tshark(path: Path, rows_of: Callable[[Path], list[Row]]) -> None:
    rows = by_key(rows_of(path))
    streams: dict[frozenset[End], list[Stream]] = defaultdict(list)
    for stream in streams_of(path):
        streams[frozenset(stream.counts)].append(stream)
    assert set(rows) == set(streams)
    counts, bits = [], []
    for key, mine in rows.items():
        theirs = streams[key]
        # however it is cut, no packet is lost and none is counted twice
        assert _sum([_counts(row) for row in mine]) == _sum([stream.counts for stream in theirs])
        if [_counts(row) for row in mine] != [dict(stream.counts) for stream in theirs]:
            counts.append((key, [row["history"] for row in mine], len(theirs)))
        else:
            bits += [
                (row["history"], row["completeness"], stream.completeness)
                for row, stream in zip(mine, theirs, strict=True)
                if row["completeness"] != stream.completeness
            ]
    assert bool(counts) == (path.stem in OTHER_SPLITS), counts
    assert bits == []


def _ends(row: Row) -> frozenset[End]:
    return frozenset({(row["client_ip"], row["client_port"]), (row["server_ip"], row["server_port"])})


def _counts(row: Row) -> dict[End, dict[str, int]]:
    return {
        (row[f"{word}_ip"], row[f"{word}_port"]): {name: row[f"{name}_{side}"] for name in _COUNTS}
        for word, side in (("client", "clt"), ("server", "srv"))
    }


def _sum(parts: list[dict[End, dict[str, int]]]) -> dict[End, dict[str, int]]:
    total: dict[End, dict[str, int]] = defaultdict(lambda: dict.fromkeys(_COUNTS, 0))
    for part in parts:
        for end, counts in part.items():
            for name, value in counts.items():
                total[end][name] += value
    return dict(total)
