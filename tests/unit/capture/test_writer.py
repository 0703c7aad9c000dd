"""Writers: what they write is read back, and a file appears only when it is complete."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest
from tests.unit.capture.build import Packet, packets, read

from lastack.capture.source import open_capture
from lastack.capture.writer import PcapngWriter, PcapWriter
from lastack.model.errors import InputError


def test_pcap_writer__is_read_back_to_the_nanosecond(tmp_path: Path) -> None:
    wanted = packets(20, 1)
    with PcapWriter(tmp_path / "x.pcap", link=1) as writer:
        for packet in wanted:
            writer.write(packet.ts_ns, packet.data, packet.wirelen)
    assert read(tmp_path / "x.pcap").packets == wanted
    assert writer.packets == 20


def test_pcapng_writer__is_read_back_to_the_nanosecond(tmp_path: Path) -> None:
    with PcapngWriter(tmp_path / "x", comment="two sessions") as writer:
        first = writer.add_interface(1, name="eth0", description="uplink")
        second = writer.add_interface(101, snaplen=64)
        writer.write(1_234_567_891, b"abcde", 9, first, comment="the first FIN")
        writer.write(1_234_567_890, b"fghi", interface=second)
    assert read(tmp_path / "x").packets == [
        Packet(1_234_567_891, b"abcde", 9, 1, 0),
        Packet(1_234_567_890, b"fghi", 4, 101, 1),
    ]
    with open_capture(tmp_path / "x") as capture:
        import numpy as np

        from lastack.model.batch import FRAME

        for window in capture.windows():
            capture.walk(window, np.zeros(9, FRAME))
        assert capture.sections[0].comments == ["two sessions"]
        assert capture.interfaces[0].name == "eth0"


def test_writer__leaves_nothing_behind_after_an_error(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"before")

    def fail_halfway() -> None:
        with PcapWriter(tmp_path / "x") as writer:
            writer.write(1, b"abcd")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_halfway()
    assert os.listdir(tmp_path) == ["x"]  # noqa: PTH208
    assert (tmp_path / "x").read_bytes() == b"before"


def test_writer__does_not_show_a_file_before_it_is_complete(tmp_path: Path) -> None:
    with PcapWriter(tmp_path / "x") as writer:
        writer.write(1, b"abcd")
        assert not (tmp_path / "x").exists()
    assert (tmp_path / "x").exists()


def test_writer__cuts_times_that_the_format_cannot_hold(tmp_path: Path) -> None:
    with PcapWriter(tmp_path / "x") as writer:
        writer.write(-5, b"a")
        writer.write(1 << 62, b"b")
    assert [p.ts_ns for p in read(tmp_path / "x").packets] == [0, (1 << 32) * 10**9 - 1]


def test_writer__writes_to_standard_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(stream))
    with PcapWriter("-") as writer:
        writer.write(7, b"abcd")
    (tmp_path / "x").write_bytes(stream.getvalue())
    assert read(tmp_path / "x").packets == [Packet(7, b"abcd", 4)]


def test_writer__a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):
        PcapWriter(tmp_path / "none" / "x")


def test_pcapng_writer__refuses_an_interface_that_was_not_added(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="interface 0"), PcapngWriter(tmp_path / "x") as writer:
        writer.write(1, b"a")
