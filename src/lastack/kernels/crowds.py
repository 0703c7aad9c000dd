"""Half-open attempts of a flow table, their clients, and all attempts, counted by place; a pass over the records each.

The hashes are those of `lastack.diagnosis.crowd`, which makes them of rows: both must give the same numbers.
"""

from __future__ import annotations

from typing import Any

from lastack.kernels._jit import helper, kernel, load_be64, load_le16, load_le64, prefetch
from lastack.kernels.decode_words import i64, u64
from lastack.kernels.layout import (
    CLIENT_HI,
    ESTABLISHED,
    RST_SEEN,
    S_SESSION,
    SYN_SEEN,
    SYNACK_SEEN,
    TO_KEY,
    hot_at,
    key_at,
)

_ODD0, _ODD1, _ODD2 = 0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9
_MASK = 0xFFFFFFFFFFFFFFFF
_AHEAD = 16  # records: three lines each are more than the processor foresees
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


@helper
def _client(k: Any, high: Any) -> Any:
    return _address(k.hi0, k.hi1) if high else _address(k.lo0, k.lo1)


@helper
def _is_half_open(bits: Any) -> Any:
    """Return whether an attempt has SYN and SYN-ACK, and nobody established or reset it."""
    if (bits & (ESTABLISHED | 3 * RST_SEEN)) != 0 or (bits & (3 * SYN_SEEN)) == 0:
        return False
    return (bits & (3 * SYNACK_SEEN)) != 0


@helper
def _place(server: Any, minute: Any) -> Any:
    return _stir(_stir(u64(0), server, _ODD0), minute, _ODD1)


@kernel
def index_places(places: Any, slots: Any) -> Any:
    """Make a hash table over places: index + 1 at `place & (len - 1)` or after it, 0 is empty.

    Args:
        places: Hashes, all different (u8 array).
        slots: Zeros, a power of two of them and more than there are places (u4 array).
    """
    mask = len(slots) - 1
    for j in range(len(places)):
        at = i64(u64(places[j]) & u64(mask))
        while slots[at] != 0:
            at = (at + 1) & mask
        slots[at] = j + 1
    return 0


@kernel
def count_half_open(
    sessions: Any,
    n: Any,
    slots: Any,
    places: Any,
    servers: Any,
    minutes: Any,
    counts: Any,
    rows: Any,
    minute_ns: Any,
) -> Any:
    """Count the half-open attempts among n records by place, a server in a minute; return the number of places.

    Args:
        sessions: Address of the SESSION records.
        n: Records.
        slots: Zeros for a hash table, as `index_places` (u4 array, more than n); zeros again in the end.
        places: Takes the hash of each place (u8 array, room for n).
        servers: Takes the hash of its server's address and port (u8 array).
        minutes: Takes its minute (i8 array).
        counts: Takes the number of half-open attempts (i8 array).
        rows: Takes the indices of the first half-open attempts (u4 array).
        minute_ns: Length of what is a minute here.
    """
    mask = len(slots) - 1
    used = found = 0
    minute, from_ns = i64(0), i64(_NEVER)
    for index in range(n):
        prefetch(sessions + (index + _AHEAD) * S_SESSION)
        bits = i64(hot_at(sessions + index * S_SESSION).bits)
        if not _is_half_open(bits):
            continue
        k = key_at(sessions + index * S_SESSION + TO_KEY)
        if k.start_ns < from_ns or k.start_ns >= from_ns + minute_ns:
            # records begin in the order of time, nearly: a division for each would take as long as the rest
            minute = k.start_ns // minute_ns
            from_ns = minute * minute_ns
        server = _server(k, (bits & CLIENT_HI) != 0)
        place = _place(server, minute)
        at = i64(place & u64(mask))
        while slots[at] != 0 and places[i64(slots[at]) - 1] != place:
            at = (at + 1) & mask
        if slots[at] == 0:
            places[used] = place
            servers[used] = server
            minutes[used] = minute
            counts[used] = 0
            used += 1
            slots[at] = used
        counts[i64(slots[at]) - 1] += 1
        if found < len(rows):
            rows[found] = index
            found += 1
    for last in range(used, 0, -1):
        at = i64(places[last - 1] & u64(mask))
        while slots[at] != last:
            at = (at + 1) & mask
        slots[at] = 0
    return used


@kernel
def gather_clients(
    sessions: Any,
    n: Any,
    rows: Any,
    slots: Any,
    places: Any,
    clients: Any,
    numbers: Any,
    shift_ns: Any,
    minute_ns: Any,
) -> Any:
    """Gather different clients of the half-open attempts at some places; return how many places want more.

    Stops as soon as no place does. May be called again with the records of other shards.

    Args:
        sessions: Address of the SESSION records.
        n: Records.
        rows: Which of them to ask, if there are any; none stands for all (u4 array).
        slots: Hash table over the places, see `index_places` (u4 array).
        places: Hashes of the places (u8 array).
        clients: Takes hashes of clients, the same room for each place (u8 array).
        numbers: Clients that each place has, added to (i8 array).
        shift_ns: Minutes are counted from this on.
        minute_ns: Length of a minute.
    """
    mask = len(slots) - 1
    room = len(clients) // len(places)
    wanting = 0
    for j in range(len(places)):
        wanting += 1 if numbers[j] < room else 0
    asked = len(rows) if len(rows) > 0 else n
    for turn in range(asked):
        index = i64(rows[turn]) if len(rows) > 0 else turn
        bits = i64(hot_at(sessions + index * S_SESSION).bits)
        if not _is_half_open(bits):
            continue
        k = key_at(sessions + index * S_SESSION + TO_KEY)
        high = (bits & CLIENT_HI) != 0
        place = _place(_server(k, high), (k.start_ns + shift_ns) // minute_ns)
        at = i64(place & u64(mask))
        while slots[at] != 0 and places[i64(slots[at]) - 1] != place:
            at = (at + 1) & mask
        if slots[at] == 0:
            continue
        found = i64(slots[at]) - 1
        number = i64(numbers[found])
        if number == room:
            continue
        client = _client(k, high)
        known = False
        for j in range(number):
            known = known or clients[found * room + j] == client
        if known:
            continue
        clients[found * room + number] = client
        numbers[found] = number + 1
        if number + 1 == room:
            wanting -= 1
            if wanting == 0:
                break
    return wanting


@kernel
def count_attempts(sessions: Any, n: Any, slots: Any, places: Any, counts: Any, minute_ns: Any) -> Any:
    """Count the attempts (sessions with a SYN) at some places, each a server in a minute.

    Args:
        sessions: Address of the SESSION records.
        n: Records.
        slots: Hash table over the places, see `index_places` (u4 array).
        places: Hashes of the places (u8 array).
        counts: Added to, one for each place (i8 array).
        minute_ns: Length of what is a minute here.
    """
    mask = len(slots) - 1
    minute, from_ns = i64(0), i64(_NEVER)
    for index in range(n):
        prefetch(sessions + (index + _AHEAD) * S_SESSION)
        prefetch(sessions + (index + _AHEAD) * S_SESSION + TO_KEY)
        bits = i64(hot_at(sessions + index * S_SESSION).bits)
        if (bits & (3 * SYN_SEEN)) == 0:
            continue
        k = key_at(sessions + index * S_SESSION + TO_KEY)
        if k.start_ns < from_ns or k.start_ns >= from_ns + minute_ns:
            minute = k.start_ns // minute_ns
            from_ns = minute * minute_ns
        place = _place(_server(k, (bits & CLIENT_HI) != 0), minute)
        at = i64(place & u64(mask))
        while slots[at] != 0:
            if places[i64(slots[at]) - 1] == place:
                counts[i64(slots[at]) - 1] += 1
                break
            at = (at + 1) & mask
    return 0


@kernel
def mark_places(
    addresses: Any,
    ports: Any,
    starts: Any,
    rows: Any,
    slots: Any,
    places: Any,
    minute_ns: Any,
    found: Any,
) -> Any:
    """Mark which rows are at some places.

    Args:
        addresses: Address of the server addresses of rows (16 bytes each).
        ports: Address of the server ports (u2).
        starts: Address of the start times (i8).
        rows: Which rows (i8 array).
        slots: Hash table over the places, see `index_places` (u4 array).
        places: Hashes of the places (u8 array).
        minute_ns: Length of what is a minute here.
        found: Set to 1 for each row that is at one (u1 array).
    """
    mask = len(slots) - 1
    minute, from_ns = i64(0), i64(_NEVER)
    for j in range(len(rows)):
        row = i64(rows[j])
        at_ns = i64(load_le64(starts + row * 8))
        if at_ns < from_ns or at_ns >= from_ns + minute_ns:
            minute = at_ns // minute_ns
            from_ns = minute * minute_ns
        server = _address(load_be64(addresses + row * 16), load_be64(addresses + row * 16 + 8))
        server = _stir(_stir(u64(0), server, _ODD0), i64(load_le16(ports + row * 2)), _ODD1)
        place = _place(server, minute)
        at = i64(place & u64(mask))
        while slots[at] != 0:
            if places[i64(slots[at]) - 1] == place:
                found[j] = 1
                break
            at = (at + 1) & mask
    return 0
