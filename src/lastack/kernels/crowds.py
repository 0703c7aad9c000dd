"""Half-open attempts of a flow table as hashes, and how many attempts there were at a few places; one pass each.

The hashes are those of `lastack.diagnosis.crowd`, which makes them of rows: both must give the same numbers.
"""

from __future__ import annotations

from typing import Any

from lastack.kernels._jit import helper, kernel
from lastack.kernels.decode_words import i64, u64
from lastack.kernels.layout import (
    CLIENT_HI,
    ESTABLISHED,
    RST_SEEN,
    S_HOT,
    S_KEY,
    SYN_SEEN,
    SYNACK_SEEN,
    hot_at,
    key_at,
)

_ODD0, _ODD1, _ODD2 = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
_MASK = 0xFFFFFFFFFFFFFFFF
_NEVER = -(1 << 62)  # a minute that no time is in


@helper
def _stir(total: Any, word: Any, odd: Any) -> Any:
    z = ((u64(total) ^ u64(word)) * u64(odd)) & u64(_MASK)
    return z ^ (z >> u64(29))


@helper
def _address(high: Any, low: Any) -> Any:
    return _stir(_stir(u64(0), high, _ODD0), low, _ODD1)


@helper
def _server(k: Any, client_high: Any) -> Any:
    ports = i64(k.ports)
    if client_high:
        return _stir(_stir(u64(0), _address(k.lo0, k.lo1), _ODD0), ports >> 16, _ODD1)
    return _stir(_stir(u64(0), _address(k.hi0, k.hi1), _ODD0), ports & 0xFFFF, _ODD1)


@kernel
def gather_half_open(hot: Any, key: Any, n: Any, servers: Any, clients: Any, starts: Any) -> Any:
    """Return how many of n records are attempts with SYN and SYN-ACK that nobody established or reset.

    Args:
        hot: Address of the HOT records.
        key: Address of the KEY records.
        n: Records.
        servers: Takes the hash of server address and port of each (u8 array, room for n).
        clients: Takes the hash of the client's address (u8 array).
        starts: Takes the time of the first packet (i8 array).
    """
    made = 0
    for index in range(n):
        bits = i64(hot_at(hot + index * S_HOT).bits)
        if (
            (bits & (ESTABLISHED | 3 * RST_SEEN)) != 0
            or (bits & (3 * SYN_SEEN)) == 0
            or (bits & (3 * SYNACK_SEEN)) == 0
        ):
            continue
        k = key_at(key + index * S_KEY)
        high = (bits & CLIENT_HI) != 0
        servers[made] = _server(k, high)
        clients[made] = _address(k.hi0, k.hi1) if high else _address(k.lo0, k.lo1)
        starts[made] = k.start_ns
        made += 1
    return made


@kernel
def count_attempts(
    hot: Any, key: Any, n: Any, places: Any, slots: Any, counts: Any, shift_ns: Any, minute_ns: Any
) -> Any:
    """Count the attempts (sessions with a SYN) at some places, each a server in a minute.

    Args:
        hot: Address of the HOT records.
        key: Address of the KEY records.
        n: Records.
        places: Hashes of the places (u8 array).
        slots: Hash table over them: index + 1 at `place & (len - 1)` or after it, 0 is empty (i8 array).
        counts: Added to, one for each place (i8 array).
        shift_ns: Minutes are counted from this on.
        minute_ns: Length of a minute.
    """
    mask = len(slots) - 1
    minute, from_ns = i64(0), i64(_NEVER)
    for index in range(n):
        bits = i64(hot_at(hot + index * S_HOT).bits)
        if (bits & (3 * SYN_SEEN)) == 0:
            continue
        k = key_at(key + index * S_KEY)
        server = _server(k, (bits & CLIENT_HI) != 0)
        if k.start_ns < from_ns or k.start_ns >= from_ns + minute_ns:
            # records begin in the order of time, nearly: a division for each would take as long as the rest
            minute = (k.start_ns + shift_ns) // minute_ns
            from_ns = minute * minute_ns - shift_ns
        place = _stir(_stir(u64(0), server, _ODD0), minute, _ODD1)
        at = i64(place & u64(mask))
        while slots[at] != 0:
            if places[slots[at] - 1] == place:
                counts[slots[at] - 1] += 1
                break
            at = (at + 1) & mask
    return 0
