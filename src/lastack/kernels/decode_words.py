"""Numbers at an offset of a frame, and the one-integer answer that each step of the decoder gives.

Every number here is int64 but the address, which is uint64: mixing the two in arithmetic would silently give
float64. In interpreted mode both are plain Python integers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lastack.kernels._jit import (
    INTERPRETED,
    helper,
    load_be16,
    load_be32,
    load_be64,
    load_le16,
    load_le32,
    load_u8,
)
from lastack.model.enums import Drop

i64: Any = int if INTERPRETED else np.int64
u64: Any = int if INTERPRETED else np.uint64

# A step says what comes next as `next layer << 40 | offset`, plus `encap + 1 << 56` when a wrapping was taken
# off; a drop is the negated reason. One integer, because a tuple costs compile time at each of ~100 returns.
LAYER_SHIFT = 40
WRAP_SHIFT = 56
AT_MASK = (1 << LAYER_SHIFT) - 1
LAYER_MASK = 0xFFFF

NOT_IP = -int(Drop.not_ip)
NOT_TCP = -int(Drop.not_tcp)
FRAGMENT = -int(Drop.fragment)
TRUNCATED = -int(Drop.truncated)
BAD_HEADER = -int(Drop.bad_header)
UNKNOWN_LINK = -int(Drop.unknown_link)
TOO_DEEP = -int(Drop.too_deep)
ICMP_ERROR = -int(Drop.icmp_error)


@helper
def u8_at(address: int, at: int) -> int:
    """Return the byte at an offset."""
    return i64(load_u8(address + u64(at)))  # type: ignore[no-any-return]


@helper
def be16_at(address: int, at: int) -> int:
    """Return the big-endian 16-bit number at an offset."""
    return i64(load_be16(address + u64(at)))  # type: ignore[no-any-return]


@helper
def be32_at(address: int, at: int) -> int:
    """Return the big-endian 32-bit number at an offset."""
    return i64(load_be32(address + u64(at)))  # type: ignore[no-any-return]


@helper
def be64_at(address: int, at: int) -> int:
    """Return the big-endian 64-bit number at an offset, unsigned: never add it to anything here."""
    return u64(load_be64(address + u64(at)))  # type: ignore[no-any-return]


@helper
def le16_at(address: int, at: int) -> int:
    """Return the little-endian 16-bit number at an offset."""
    return i64(load_le16(address + u64(at)))  # type: ignore[no-any-return]


@helper
def le32_at(address: int, at: int) -> int:
    """Return the little-endian 32-bit number at an offset."""
    return i64(load_le32(address + u64(at)))  # type: ignore[no-any-return]


@helper
def go(layer: int, at: int) -> int:
    """Return the step "this layer starts at this offset"."""
    return layer << LAYER_SHIFT | at


@helper
def unwrap(layer: int, at: int, encap: int) -> int:
    """Return the step "a wrapping was taken off; this layer starts at this offset"."""
    return (encap + 1) << WRAP_SHIFT | layer << LAYER_SHIFT | at
