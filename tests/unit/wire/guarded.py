"""The compiled decoder on one frame at a time, with unreadable memory on both sides of it."""

from __future__ import annotations

import ctypes
import mmap
from typing import Any

import numpy as np

from lastack.kernels.decode import decode_many
from lastack.model.batch import FRAME, META_FROM_HI, META_HAS_IPID, META_ICMP, SEGMENT
from lastack.model.enums import Drop, Encap
from lastack.wire.decode import Decoded
from lastack.wire.tcp import Segment

_PAGE = mmap.PAGESIZE
_ROOM = 64 * _PAGE
_PROT_NONE = 0
_MASK = 0xFFFFFFFFFFFFFFFF


class GuardedDecoder:
    """Decodes a frame that ends where readable memory ends, then one that starts where it starts."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _ROOM + 2 * _PAGE)
        self._view = ctypes.c_char.from_buffer(self._memory)
        self._base = ctypes.addressof(self._view)
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        for at in (self._base, self._base + _PAGE + _ROOM):
            assert libc.mprotect(at, _PAGE, _PROT_NONE) == 0
        self._frames = np.zeros(1, FRAME).view(np.recarray)
        self._segments = np.zeros(1, SEGMENT).view(np.recarray)

    def __call__(self, frame: bytes, wirelen: int, link: int) -> Decoded:
        at_end = self._decode(frame, _PAGE + _ROOM - len(frame), wirelen, link)
        at_start = self._decode(frame, _PAGE, wirelen, link)
        assert at_end == at_start
        return at_end

    def _decode(self, frame: bytes, offset: int, wirelen: int, link: int) -> Decoded:
        ctypes.memmove(self._base + offset, frame, len(frame))
        self._frames[0] = (5, offset, len(frame), wirelen, link, 0)
        # What an earlier frame left in the record must not show.
        self._segments.view(np.uint8)[:] = 0xA5
        counts = np.zeros(len(Drop), np.int64)
        made = decode_many(np.uint64(self._base), self._frames, self._segments, counts)
        assert counts.sum() == 1
        drop = Drop(int(counts.argmax()))
        segment = self._segments[0]
        assert segment.ts_ns == 5
        assert segment.origin == 1
        return Decoded(drop, as_segment(segment) if made else None)


def as_segment(record: Any) -> Segment:
    """Return a record of `SEGMENT` in the words of the readable decoder, checking the form of the key."""
    meta = int(record.meta)
    ports = int(record.ports)
    lo = (int(record.lo0), int(record.lo1), ports >> 16)
    hi = (int(record.hi0), int(record.hi1), ports & 0xFFFF)
    assert lo <= hi
    assert lo < hi or not meta & META_FROM_HI
    expected = reference_hash(lo[0], lo[1], hi[0], hi[1], ports)
    assert int(record.hash) == expected & 0xFFFFFFFF
    assert int(record.shard) == expected >> 56
    sender, receiver = (hi, lo) if meta & META_FROM_HI else (lo, hi)
    if not meta & META_HAS_IPID:
        assert record.ipid == 0
    return Segment(
        source=sender[0].to_bytes(8, "big") + sender[1].to_bytes(8, "big"),
        destination=receiver[0].to_bytes(8, "big") + receiver[1].to_bytes(8, "big"),
        sport=sender[2],
        dport=receiver[2],
        seq=int(record.seq),
        ack=int(record.ack),
        flags=int(record.tcp_flags),
        window=int(record.window),
        payload=int(record.payload),
        wscale=int(record.wscale),
        ttl=int(record.ttl),
        ipid=int(record.ipid) if meta & META_HAS_IPID else None,
        vlan=int(record.vlan),
        encap=Encap(int(record.encap)),
        quoted=bool(meta & META_ICMP),
    )


def reference_hash(lo0: int, lo1: int, hi0: int, hi1: int, ports: int) -> int:
    """Return the hash of a key as `lastack.kernels.flowhash` describes it."""
    words = (
        (lo0, 0x13198A2E03707345),
        (lo1, 0xA4093822299F31D1),
        (hi0, 0x082EFA98EC4E6C89),
        (hi1, 0x452821E638D01377),
        (ports, 0xBE5466CF34E90C6D),
    )
    value = (sum(word * factor for word, factor in words) + 0x243F6A8885A308D3) & _MASK
    value = ((value ^ value >> 32) * 0xC0AC29B7C97C50DD) & _MASK
    value = ((value ^ value >> 29) * 0x3F84D5B5B5470917) & _MASK
    return value ^ value >> 32
