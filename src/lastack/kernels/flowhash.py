"""The symmetric hash of a session key; the flow table, the shards and the tests share this one function.

It is a multilinear sum (independent multiplications, so they overlap in the processor) that two rounds of
xorshift and multiplication finish, so that each bit of the key reaches each bit of the result. The key is fixed:
the same input gives the same order on every run and machine.
"""

from __future__ import annotations

from lastack.kernels.decode_words import hot, u64

_MASK = 0xFFFFFFFFFFFFFFFF
# Odd 64-bit numbers without structure: the first hex digits of pi's fraction, low bit set.
_SEED = 0x243F6A8885A308D3
_LO0 = 0x13198A2E03707345
_LO1 = 0xA4093822299F31D1
_HI0 = 0x082EFA98EC4E6C89
_HI1 = 0x452821E638D01377
_PORTS = 0xBE5466CF34E90C6D
_MIX1 = 0xC0AC29B7C97C50DD
_MIX2 = 0x3F84D5B5B5470917


@hot
def flow_hash(lo0: int, lo1: int, hi0: int, hi1: int, ports: int) -> int:
    """Return the 64-bit hash of a canonical key; both directions of a session have the same key.

    Args:
        lo0: High half of the lower end's address, unsigned.
        lo1: Low half of it.
        hi0: High half of the higher end's address.
        hi1: Low half of it.
        ports: Port of the lower end << 16 | port of the higher end.
    """
    total = u64(lo0) * u64(_LO0) + u64(lo1) * u64(_LO1) + u64(hi0) * u64(_HI0) + u64(hi1) * u64(_HI1)
    h = (total + u64(ports) * u64(_PORTS) + u64(_SEED)) & u64(_MASK)
    h = ((h ^ (h >> u64(32))) * u64(_MIX1)) & u64(_MASK)
    h = ((h ^ (h >> u64(29))) * u64(_MIX2)) & u64(_MASK)
    return h ^ (h >> u64(32))  # type: ignore[no-any-return]
