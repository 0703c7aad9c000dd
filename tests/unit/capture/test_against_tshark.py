"""The same packets, times and lengths as tshark finds, in every dialect and in real captures."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from tests.unit.capture import build
from tests.unit.capture.build import START_S, enhanced, interface, option, packets, pcap, read, section

CAPTURES = Path(__file__).resolve().parents[3] / "tests/captures"
SHARED = Path(__file__).resolve().parents[4] / "shared/captures"

pytestmark = [
    pytest.mark.tshark,
    pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed"),
]


def tshark_rows(path: Path) -> list[tuple[int, int, int]]:
    fields = ["frame.time_epoch", "frame.cap_len", "frame.len"]
    command = [
        "tshark",
        "-n",
        "-r",
        str(path),
        "-T",
        "fields",
        *(word for name in fields for word in ("-e", name)),
    ]
    rows = []
    for line in subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines():
        time, caplen, wirelen = line.split("\t")
        seconds, fraction = time.split(".")
        rows.append((int(seconds) * 10**9 + int(fraction.ljust(9, "0")), int(caplen), int(wirelen)))
    return rows


def our_rows(path: Path) -> list[tuple[int, int, int]]:
    return [(packet.ts_ns, len(packet.data), packet.wirelen) for packet in read(path).packets]


def _resolution(value: int, ticks_per_second: int, offset_s: int = 0) -> bytes:
    options = option(9, bytes([value])) + option(14, struct.pack("<q", offset_s))
    start = (START_S - offset_s) * ticks_per_second
    blocks = [enhanced(start + k * ticks_per_second // 7, b"x" * 60, 60 + k) for k in range(5)]
    return section() + interface(options=options) + b"".join(blocks)


DIALECTS = {
    "big-endian": pcap(packets(9), ">"),
    "nanoseconds": pcap(packets(9, 1), "<", 0xA1B23C4D),
    "modified": pcap(packets(9), ">", 0xA1B2CD34),
    "version 2.2": pcap(packets(9), version=(2, 2)),
    "version 2.3": pcap(packets(9), version=(2, 3)),
    "pcapng": build.pcapng(packets(9), ">"),
    "obsolete": section() + interface() + build.obsolete(START_S * 10**6, b"x" * 60, 60),
    "milliseconds": _resolution(3, 10**3),
    "picoseconds": _resolution(9, 10**9, 1_600_000_000),
    "2^-20": _resolution(0x80 | 20, 1 << 20),
    "2^-30": _resolution(0x80 | 30, 1 << 30),
    "cut": pcap(packets(9))[:-3],
}


@pytest.mark.parametrize("name", DIALECTS)
def test_dialect__reads_as_in_tshark(tmp_path: Path, name: str) -> None:
    path = tmp_path / "x.cap"
    path.write_bytes(DIALECTS[name])
    rows = tshark_rows(path)
    assert our_rows(path) == rows
    assert rows


OWN = sorted(path for path in CAPTURES.glob("*.pcap*") if path.is_file())
REAL = sorted(path for path in SHARED.glob("*") if path.is_file() and path.suffix not in (".md", ".csv"))
# Their times have a fraction of more than a second, which tshark handles in another way.
NONSENSE_TIMES = ("tcpdump__tests_timestamp_invalid_micro.pcap", "tcpdump__tests_timestamp_invalid_nano.pcap")


def test_own_captures__read_as_in_tshark() -> None:
    for path in OWN[::4]:
        assert our_rows(path) == tshark_rows(path), path.name


@pytest.mark.shared
@pytest.mark.skipif(not REAL, reason="no shared captures beside the checkout")
@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
def test_real_capture__reads_as_in_tshark(path: Path) -> None:
    ours, theirs = our_rows(path), tshark_rows(path)
    if path.name in NONSENSE_TIMES:
        ours, theirs = ([row[1:] for row in rows] for rows in (ours, theirs))  # type: ignore[misc]
    assert ours == theirs
