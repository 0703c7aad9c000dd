"""Session ids: a hash of what identifies a session in the traffic, so that every run and engine gives the same."""

from __future__ import annotations

from typing import Any

from lastack.kernels._jit import helper
from lastack.kernels.decode_words import u64

# odd constants of splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014)
_M1 = 0xBF58476D1CE4E5B9
_M2 = 0x94D049BB133111EB
_STEP = 0x9E3779B97F4A7C15
_MASK = 0xFFFFFFFFFFFFFFFF
_POSITIVE = 0x7FFFFFFFFFFFFFFF


@helper
def _mix(x: Any, y: Any) -> Any:
    z = ((u64(x) ^ u64(y)) + u64(_STEP)) & u64(_MASK)
    z = ((z ^ (z >> u64(30))) * u64(_M1)) & u64(_MASK)
    z = ((z ^ (z >> u64(27))) * u64(_M2)) & u64(_MASK)
    return z ^ (z >> u64(31))


@helper
def session_id(k: Any, previous_id: Any) -> Any:
    """Return the 63-bit id of a session from its key, its first packet's time and its predecessor's id (0: none)."""
    z = _mix(k.lo0, k.lo1)
    z = _mix(z, k.hi0)
    z = _mix(z, k.hi1)
    z = _mix(z, k.ports)
    z = _mix(z, k.start_ns)
    z = _mix(z, previous_id)
    return z & u64(_POSITIVE)
