"""What tells one sender from another: TTLs and IP-IDs of the packets before any RST, and where a packet was."""

from __future__ import annotations

from typing import Any

from lastack.kernels._jit import helper
from lastack.kernels.decode_words import i64
from lastack.kernels.layout import MASK32
from lastack.kernels.pool import need_rare, rare_of
from lastack.model.batch import META_HAS_IPID, SYN
from lastack.model.enums import IpidKind

# values of a nibble of KEY.steps; they are of IPv4 packets without SYN before any RST
COUNTING = 3  # three or more, each step 1 to 256
_TWO_ZEROS, _ZEROS, _TWO_DISORDERLY, NOT_COUNTING = 4, 5, 6, 7
_LARGEST_STEP = 256
_K_UNKNOWN, _K_COUNTER = int(IpidKind.unknown), int(IpidKind.counter)
_K_ZERO, _K_OTHER = int(IpidKind.zero), int(IpidKind.other)

MASK31 = 0x7FFFFFFF
# Sensors are spread over the circle of packet numbers (2**31 / golden ratio), so that numbers of different captures are
# never near each other: with n of them, none is mistaken while captures have fewer than 2**31 / (3 * n) packets.
_SENSOR_STEP = 1327217885


@helper
def stamp(t: Any, g: Any, d: Any) -> Any:
    """Return KEY.last of a segment: 31 bits of its number, moved by its sensor, and its direction."""
    origin = i64(g.origin + t.origin_add)
    return ((origin + ((origin >> 48) & 0xFFFF) * _SENSOR_STEP) & MASK31) << 1 | d


@helper
def place_of(t: Any, i: Any, g: Any) -> Any:
    """Return how many packets after the session's first, plus one; 0 in another capture or too far away."""
    origin = g.origin + t.origin_add
    if i64(origin >> 48) != i64(i.origin >> 48):
        return i64(0)
    after = i64(origin) - i64(i.origin)
    return after + 1 if 0 <= after < MASK32 else i64(0)


@helper
def number_at(i: Any, place: Any) -> Any:
    """Return the number in its capture of the packet at a place, 0 for place 0."""
    if place == 0:
        return i64(0)
    return (i64(i.origin) & 0xFFFFFFFFFFFF) + i64(place) - 1


@helper
def _next_order(n: Any, orderly: Any, zero: Any) -> Any:
    """Return the nibble of KEY.steps that follows another."""
    if n == 0:
        return i64(1)
    if orderly and n <= COUNTING:
        return n + 1
    if n == 1:
        return i64(_TWO_ZEROS) if zero else i64(_TWO_DISORDERLY)
    if zero and (n == _TWO_ZEROS or n == _ZEROS):
        return i64(_ZEROS)
    return i64(NOT_COUNTING)


@helper
def note_ipid(k: Any, d: Any, g: Any) -> Any:
    """Remember the IP-ID of a packet without SYN that comes before any RST."""
    # Linux sends its SYN-ACK with 0 and counts from there (net/ipv4/ip_output.c, ip_build_and_send_pkt)
    if (i64(g.meta) & META_HAS_IPID) != 0 and (i64(g.tcp_flags) & SYN) == 0:
        steps = i64(k.steps)
        n = (steps >> (4 * d)) & 7
        ipid = i64(g.ipid)
        step = (ipid - i64(k.ipid[d])) & 0xFFFF
        orderly = 0 < step <= _LARGEST_STEP
        if n != NOT_COUNTING and not (n == COUNTING and orderly):
            following = _next_order(n, orderly, step == 0 and ipid == 0)
            k.steps = (steps & ~(7 << (4 * d))) | (following << (4 * d))
        k.ipid[d] = ipid


@helper
def note_oddity(t: Any, k: Any, i: Any, d: Any, g: Any, other_ttl: Any) -> Any:
    """Count a window of 0, and widen the range of TTLs if this one is another than the last."""
    r = need_rare(t, i)
    if g.window == 0:
        r.zero[d] = i64(r.zero[d]) + 1
    if other_ttl:
        low = high = i64(k.ttl[d])
        if r.ttl_high[d] != 0:
            low, high = i64(r.ttl_low[d]), i64(r.ttl_high[d])
        r.ttl_low[d] = min(low, i64(g.ttl))
        r.ttl_high[d] = max(high, i64(g.ttl))


@helper
def lowest_ttl(t: Any, k: Any, i: Any, d: Any) -> Any:
    """Return the lowest TTL of an end before any RST, 0 without a packet."""
    r = rare_of(t, i)
    return i64(r.ttl_low[d]) if r.ttl_high[d] != 0 else i64(k.ttl[d])


@helper
def highest_ttl(t: Any, k: Any, i: Any, d: Any) -> Any:
    """Return the highest TTL of an end before any RST, 0 without a packet."""
    r = rare_of(t, i)
    return i64(r.ttl_high[d]) if r.ttl_high[d] != 0 else i64(k.ttl[d])


@helper
def ipid_kind(k: Any, d: Any) -> Any:
    """Return the IpidKind of an end."""
    n = (i64(k.steps) >> (4 * d)) & 7
    if n == COUNTING:
        return _K_COUNTER
    if n == _ZEROS:
        return _K_ZERO
    return _K_OTHER if n == NOT_COUNTING else _K_UNKNOWN
