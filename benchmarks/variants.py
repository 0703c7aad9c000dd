"""The same packets in other containers: pcapng, gzip, and the first packets only."""

from __future__ import annotations

import mmap
import struct
import zlib
from pathlib import Path

import numba
import numpy as np

_CHUNK = 1 << 26


def to_pcapng(source: Path, target: Path) -> None:
    """Write a classic little-endian pcap (microseconds) as pcapng with one interface."""
    data = np.memmap(source, np.uint8, "r")
    head = struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
    snaplen, link = struct.unpack_from("<II", data[16:24].tobytes())
    head += struct.pack("<IIHHII", 1, 20, link, 0, snaplen, 20)
    out = np.empty(2 * _CHUNK, np.uint8)
    temporary = target.with_name(target.name + ".part")
    with temporary.open("wb") as file:
        file.write(head)
        at = 24
        while at < data.size:
            at, size = _blocks(data, at, out, _CHUNK)
            file.write(memoryview(out[:size]))
    temporary.replace(target)


@numba.njit
def _word(data, at):
    return data[at] | data[at + 1] << 8 | data[at + 2] << 16 | np.int64(data[at + 3]) << 24


@numba.njit
def _put(out, at, value):
    for byte in range(4):
        out[at + byte] = (value >> (8 * byte)) & 0xFF


@numba.njit
def _blocks(data, at, out, most):
    size = 0
    while at < data.size and size < most:
        caplen = _word(data, at + 8)
        padded = (caplen + 3) & ~3
        length = 32 + padded
        us = _word(data, at) * 1_000_000 + _word(data, at + 4)
        for i, value in enumerate((6, length, 0, us >> 32, us & 0xFFFFFFFF, caplen, _word(data, at + 12))):
            _put(out, size + 4 * i, value)
        out[size + 28 : size + 28 + caplen] = data[at + 16 : at + 16 + caplen]
        out[size + 28 + caplen : size + 28 + padded] = 0
        _put(out, size + 28 + padded, length)
        size += length
        at += 16 + caplen
    return at, size


def to_gzip(source: Path, target: Path) -> None:
    """Write a file through gzip, level 1."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    temporary = target.with_name(target.name + ".part")
    with source.open("rb") as file, temporary.open("wb") as out:
        while block := file.read(_CHUNK):
            out.write(packer.compress(block))
        out.write(packer.flush())
    temporary.replace(target)


def slice_of(source: Path, target: Path, packets: int) -> int:
    """Write the first packets of a classic little-endian pcap; return how many there are."""
    with source.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        at, count = 24, 0
        while at < len(data) and count < packets:
            at += 16 + struct.unpack_from("<I", data, at + 8)[0]
            count += 1
        temporary = target.with_name(target.name + ".part")
        with temporary.open("wb") as out:
            for begin in range(0, at, _CHUNK):
                out.write(data[begin : min(at, begin + _CHUNK)])
    temporary.replace(target)
    return count
