"""Several files: their order, duplicates, and rotated series."""

from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.capture.build import packets, pcap, pcapng

from lastack.capture.series import order_captures, rotated_series
from lastack.model.errors import InputError, UsageError


def capture(path: Path, second: int) -> str:
    content = [replace(packet, ts_ns=packet.ts_ns + second * 10**9) for packet in packets(2)]
    data = pcapng(content) if path.suffix == ".pcapng" else pcap(content)
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return str(path)


def test_order__is_by_first_packet_then_name(tmp_path: Path) -> None:
    late = capture(tmp_path / "a.pcap", 9)
    early = capture(tmp_path / "b.pcapng", 1)
    same = capture(tmp_path / "c10.pcap.gz", 9)
    same_before = capture(tmp_path / "c9.pcap", 9)
    order = order_captures([late, same, early, same_before])
    assert [file.path for file in order.files] == [early, late, same_before, same]
    assert order.files[0].first_ns == packets(1)[0].ts_ns + 10**9


def test_order__files_without_packets_come_last(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(pcap([]))
    full = capture(tmp_path / "b", 1)
    assert [file.path for file in order_captures([tmp_path / "a", full]).files] == [full, str(tmp_path / "a")]


def test_order__refuses_the_same_file_twice(tmp_path: Path) -> None:
    path = capture(tmp_path / "a", 1)
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(UsageError, match="given twice"):
        order_captures([path, path])
    with pytest.raises(UsageError, match=f"given twice .as {path}"):
        order_captures([path, tmp_path / "link"])
    with pytest.raises(UsageError, match="given twice"):
        order_captures(["-", "-"])


def test_order__files_that_cannot_be_read_are_set_apart(tmp_path: Path) -> None:
    good = capture(tmp_path / "a", 1)
    (tmp_path / "b").write_bytes(b"some text\n")
    order = order_captures([tmp_path / "b", good, tmp_path / "none"])
    assert [file.path for file in order.files] == [good]
    assert ["text" in str(error) or "no such file" in str(error) for error in order.rejected] == [True, True]


def test_order__without_one_readable_file_raises(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        order_captures([tmp_path / "none"])


def test_order__pipes_are_not_touched(tmp_path: Path) -> None:
    path = capture(tmp_path / "a", 1)
    assert [file.path for file in order_captures(["-", path]).files] == [path, "-"]


SERIES = {
    "tcpdump": ["x.pcap", "x.pcap1", "x.pcap2", "x.pcap10"],
    "dumpcap": [
        "y_00001_20240131120000.pcapng",
        "y_00002_20240131120100.pcapng",
        "y_00010_20240131120500.pcapng",
    ],
    "logrotate": ["z.pcap", "z.pcap.1", "z.pcap.2.gz"],
}


@pytest.mark.parametrize("names", SERIES.values(), ids=SERIES)
def test_series__is_found_from_any_of_its_files(tmp_path: Path, names: list[str]) -> None:
    for other in ("w.pcap", "xx.pcap1", "y.pcapng", "notes.txt", *names):
        (tmp_path / other).write_bytes(b"")
    for name in names:
        assert rotated_series(tmp_path / name) == [str(tmp_path / member) for member in names]


def test_series__of_a_lonely_file_is_itself(tmp_path: Path) -> None:
    (tmp_path / "w.pcap").write_bytes(b"")
    (tmp_path / "v.pcap").write_bytes(b"")
    assert rotated_series(tmp_path / "w.pcap") == [str(tmp_path / "w.pcap")]
    assert rotated_series("-") == ["-"]
