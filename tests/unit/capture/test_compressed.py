"""Compressed captures: recognised by content, in any number of members, cut and damaged."""

from __future__ import annotations

import bz2
import contextlib
import gzip
import lzma
import random
import zlib
from collections.abc import Callable
from pathlib import Path

import lz4.frame
import numpy as np
import pytest
import zstandard
from tests.unit.capture.build import packets, pcap, pcapng, read

from lastack.capture.source import open_capture
from lastack.kernels._jit import INTERPRETED
from lastack.model.batch import FRAME
from lastack.model.errors import InputError


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


CODECS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": _zstd,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "lz4": lz4.frame.compress,
}


@pytest.mark.parametrize("target", [4096, 1 << 20])
@pytest.mark.parametrize("codec", CODECS)
def test_compressed__capture_is_recognised_by_content(tmp_path: Path, codec: str, target: int) -> None:
    wanted = packets(400)
    path = tmp_path / "misnamed.txt"
    path.write_bytes(CODECS[codec](pcapng(wanted)))
    reading = read(path, target)
    assert (reading.packets, reading.problems, reading.compression) == (wanted, [], codec)


@pytest.mark.parametrize("codec", CODECS)
def test_compressed__members_are_read_one_after_the_other(tmp_path: Path, codec: str) -> None:
    wanted = packets(300)
    whole = pcap(wanted)
    parts = [whole[:10], whole[10:5000], b"", whole[5000:]]
    (tmp_path / "x").write_bytes(b"".join(CODECS[codec](part) for part in parts))
    reading = read(tmp_path / "x")
    assert (reading.packets, reading.problems) == (wanted, [])


def test_compressed__skippable_frames_are_skipped(tmp_path: Path) -> None:
    wanted = packets(30)
    skippable = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"
    data = pcap(wanted)
    (tmp_path / "x").write_bytes(skippable + _zstd(data[:100]) + skippable + _zstd(data[100:]))
    reading = read(tmp_path / "x")
    assert (reading.packets, reading.compression, reading.problems) == (wanted, "zstd", [])


@pytest.mark.parametrize("codec", ["gzip", "xz"])
def test_compressed__zero_padding_after_the_stream_is_no_flaw(tmp_path: Path, codec: str) -> None:
    wanted = packets(5)
    (tmp_path / "x").write_bytes(CODECS[codec](pcap(wanted)) + bytes(1000))
    reading = read(tmp_path / "x")
    assert (reading.packets, reading.problems) == (wanted, [])


@pytest.mark.parametrize("codec", CODECS)
def test_compressed__what_follows_the_stream_is_told(tmp_path: Path, codec: str) -> None:
    wanted = packets(5)
    (tmp_path / "x").write_bytes(CODECS[codec](pcap(wanted)) + b"something else entirely")
    reading = read(tmp_path / "x")
    assert reading.packets == wanted
    assert reading.said(f"bytes that are no {codec} follow")


@pytest.mark.parametrize("codec", CODECS)
def test_compressed__a_cut_stream_gives_its_first_packets(tmp_path: Path, codec: str) -> None:
    noise = random.Random(1)
    wanted = packets(3000, size=lambda k: 60)
    wanted = [type(p)(p.ts_ns, noise.randbytes(60), 60) for p in wanted]
    whole = CODECS[codec](pcap(wanted))
    (tmp_path / "x").write_bytes(whole[: len(whole) * 3 // 4])
    if codec == "bzip2":
        # Its blocks of 900 kB hold everything back.
        with pytest.raises(InputError, match="no byte could be read"):
            read(tmp_path / "x")
        return
    reading = read(tmp_path / "x")
    assert reading.packets == wanted[: len(reading.packets)]
    assert reading.packets
    assert reading.said(f"the {codec} stream ends in the middle")


@pytest.mark.parametrize("codec", CODECS)
def test_compressed__a_damaged_stream_never_raises_more_than_input_error(tmp_path: Path, codec: str) -> None:
    wanted = packets(2000)
    whole = bytearray(CODECS[codec](pcap(wanted)))
    middle = len(whole) // 2
    whole[middle : middle + 16] = bytes(16)
    (tmp_path / "x").write_bytes(whole)
    try:
        reading = read(tmp_path / "x")
    except InputError:
        return
    assert reading.problems


@pytest.mark.parametrize("target", [4096, 1 << 20, 32 << 20])
def test_gzip__every_byte_before_the_damage_is_read(tmp_path: Path, target: int) -> None:
    noise = random.Random(1)
    wanted = [type(p)(p.ts_ns, noise.randbytes(30) + bytes(30), 60) for p in packets(3000)]
    whole = gzip.compress(pcap(wanted))
    middle = len(whole) // 2
    for damaged in (whole[:-8] + bytes(8), whole[:middle] + b"\xff" * 200 + whole[middle:]):
        (tmp_path / "x").write_bytes(damaged)
        reading = read(tmp_path / "x", target)
        by_byte = zlib.decompressobj(wbits=31)
        plain = bytearray()
        with contextlib.suppress(zlib.error):
            for byte in damaged:
                plain += by_byte.decompress(bytes([byte]))
        (tmp_path / "plain").write_bytes(plain)
        assert reading.packets == read(tmp_path / "plain").packets
        assert reading.said("the gzip stream is damaged")
    (tmp_path / "x").write_bytes(whole[:-8] + bytes(8))
    assert read(tmp_path / "x", target).packets == wanted


@pytest.mark.parametrize("codec", CODECS)
def test_compressed__the_end_of_a_damaged_stream_is_the_same_for_every_window(
    tmp_path: Path, codec: str
) -> None:
    noise = random.Random(2)
    wanted = [type(p)(p.ts_ns, noise.randbytes(1000), 1000) for p in packets(3000)]
    whole = bytearray(CODECS[codec](pcap(wanted)))
    whole[len(whole) * 2 // 3] ^= 1
    (tmp_path / "x").write_bytes(whole)
    small, large = read(tmp_path / "x", 4096), read(tmp_path / "x", 32 << 20)
    assert small.packets == large.packets
    assert list(map(str, small.problems)) == list(map(str, large.problems))


@pytest.mark.parametrize("codec", CODECS)
def test_compressed__text_is_no_capture(tmp_path: Path, codec: str) -> None:
    (tmp_path / "x").write_bytes(CODECS[codec](b"just some lines of text\n" * 20))
    with pytest.raises(InputError, match=f"not a capture but a {codec} stream of text"):
        read(tmp_path / "x")


def test_compressed__twice_is_told(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(gzip.compress(bz2.compress(pcap(packets(1)))))
    with pytest.raises(InputError, match="gzip stream of another bzip2 stream"):
        read(tmp_path / "x")


@pytest.mark.parametrize("codec", CODECS)
def test_compressed__an_empty_stream_is_told(tmp_path: Path, codec: str) -> None:
    (tmp_path / "x").write_bytes(CODECS[codec](b""))
    with pytest.raises(InputError, match=f"a {codec} stream of nothing"):
        read(tmp_path / "x")


@pytest.mark.parametrize("codec", CODECS)
def test_compressed__progress_counts_compressed_bytes(tmp_path: Path, codec: str) -> None:
    path = tmp_path / "x"
    path.write_bytes(CODECS[codec](pcap(packets(500))))
    with open_capture(path) as capture:
        assert capture.size_bytes == path.stat().st_size
        for window in capture.windows():
            capture.state["next"] = window.end
            capture.state["status"] = 1
            capture.settle(window)
        assert capture.consumed_bytes == path.stat().st_size


@pytest.mark.skipif(INTERPRETED, reason="searches 16 MB byte by byte")
@pytest.mark.parametrize("codec", CODECS)
def test_compressed__a_bomb_is_read_in_bounded_memory(tmp_path: Path, codec: str) -> None:
    import tracemalloc

    bomb = pcap(packets(10)) + bytes(64 << 20)
    (tmp_path / "x").write_bytes(CODECS[codec](bomb))
    del bomb
    frames = np.zeros(64, FRAME)
    with open_capture(tmp_path / "x") as capture:
        tracemalloc.start()
        for window in capture.windows(1 << 20):
            while capture.walk(window, frames):
                pass
            if window.origin > 16 << 20:
                break
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 48 << 20
