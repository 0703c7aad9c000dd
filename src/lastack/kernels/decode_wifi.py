"""802.11 data frames, and the headers that capture programs put in front of them."""

from __future__ import annotations

from lastack.kernels.decode_words import (
    BAD_HEADER,
    NOT_IP,
    TRUNCATED,
    be32_at,
    go,
    le16_at,
    le32_at,
    part,
    u8_at,
)
from lastack.wire import layers

_DATA = 2
_NO_DATA, _QOS = 4, 8  # bits of the subtype
_BOTH_DS, _PROTECTED, _ORDER = 0x0300, 0x4000, 0x8000
_TSFT, _FLAGS, _MORE = 1, 2, 0x80000000  # bits of radiotap's "present" words
_PADDED = 0x20  # radiotap flag: the 802.11 header is padded to 4 bytes
_AVS_MAGIC = 0x80211000


@part
def read_wifi(address: int, at: int, end: int, round_up: int) -> int:
    """Return the step into a data frame that is not encrypted; of an A-MSDU, its first frame.

    Args:
        address: Address of the frame.
        at: Offset of the 802.11 header.
        end: Bytes captured.
        round_up: 3 if the header is padded to 4 bytes, else 0.
    """
    if end - at < 2:
        return TRUNCATED
    control = le16_at(address, at)
    subtype = control >> 4 & 15
    if control & 3 or control >> 2 & 3 != _DATA or subtype & _NO_DATA or control & _PROTECTED:
        return NOT_IP
    header = 30 if control & _BOTH_DS == _BOTH_DS else 24
    aggregated = 0
    if subtype & _QOS:
        if end - at < header + 2:
            return TRUNCATED
        aggregated = u8_at(address, at + header) & 0x80
        header += 6 if control & _ORDER else 2
    at += (header + round_up) & ~round_up
    return go(layers.LLC, at + 14 if aggregated else at)


@part
def read_radiotap(address: int, at: int, end: int) -> int:
    """Return the step past a radiotap header; only its flags are read, for the padding."""
    if end - at < 8:
        return TRUNCATED
    length = le16_at(address, at + 2)
    if u8_at(address, at) != 0 or length < 8:
        return BAD_HEADER
    present = le32_at(address, at + 4)
    after = at + length
    field = at + 4
    stop = min(end, after) - 4
    while field <= stop and le32_at(address, field) & _MORE:
        field += 4
    field += 4
    if present & _TSFT:
        field = at + ((field - at + 7) & ~7) + 8
    if present & _FLAGS and field < min(end, after) and u8_at(address, field) & _PADDED:
        return go(layers.WIFI_PADDED, after)
    return go(layers.WIFI, after)


@part
def read_prism(address: int, at: int, end: int) -> int:
    """Return the step past a Prism header, whose length is in the byte order of its host."""
    if end - at < 8:
        return TRUNCATED
    if be32_at(address, at) & 0xFFFFF000 == _AVS_MAGIC:
        return read_avs(address, at, end)
    length = le32_at(address, at + 4)
    if length > 0xFFFF:
        length = be32_at(address, at + 4)
    return go(layers.WIFI, at + length) if 8 <= length <= 0xFFFF else BAD_HEADER


@part
def read_avs(address: int, at: int, end: int) -> int:
    """Return the step past an AVS header."""
    if end - at < 8:
        return TRUNCATED
    length = be32_at(address, at + 4)
    if be32_at(address, at) & 0xFFFFF000 != _AVS_MAGIC or length < 8 or length > 0xFFFF:
        return BAD_HEADER
    return go(layers.WIFI, at + length)
