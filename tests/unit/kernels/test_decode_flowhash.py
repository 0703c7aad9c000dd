"""The hash of a session key spreads what real traffic and scans look like, in the bits that are used."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from tests.unit.wire.guarded import reference_hash

from lastack.kernels._jit import kernel
from lastack.kernels.flowhash import flow_hash

V4 = 0xFFFF00000000
KEYS = 1 << 16


@kernel
def hash_many(keys, out):
    for i in range(len(out)):
        k = 5 * i
        out[i] = flow_hash(keys[k], keys[k + 1], keys[k + 2], keys[k + 3], keys[k + 4])


def hashes(rows: list[tuple[int, int, int, int, int]]) -> np.ndarray:
    keys = np.array(rows, np.uint64).ravel()
    out = np.empty(len(rows), np.uint64)
    hash_many(keys, out)
    return out


def server(i: int) -> int:
    return V4 | (10 << 24) | i


SETS = {
    "one client, one server, every port": [(0, server(1), 0, server(2), i << 16 | 443) for i in range(KEYS)],
    "the same with the server below": [(0, server(1), 0, server(2), 443 << 16 | i) for i in range(KEYS)],
    "flood of consecutive addresses": [
        (0, server(1), 0, server(2 + i), 443 << 16 | 1024) for i in range(KEYS)
    ],
    "flood of addresses and ports": [
        (0, server(1), 0, server(2 + i), 443 << 16 | (i * 7919 & 0xFFFF)) for i in range(KEYS)
    ],
    "scan of a /16, one port": [(0, server(0), 0, server(1 + i), 40000 << 16 | 22) for i in range(KEYS)],
    "scan of 256 hosts and 256 ports": [
        (0, server(0), 0, server(1 + (i >> 8)), 40000 << 16 | (i & 255)) for i in range(KEYS)
    ],
    "every 256th address": [(0, server(i << 8), 0, server(1 << 25), 80) for i in range(KEYS)],
    "consecutive IPv6 interfaces": [
        (0x20010DB8 << 32, i, 0x20010DB8 << 32, 1 << 40, 443) for i in range(KEYS)
    ],
    "consecutive IPv6 networks": [((0x20010DB8 << 32) + i, 1, 0x20020000 << 32, 1, 443) for i in range(KEYS)],
}


@pytest.fixture(scope="module", params=SETS, ids=SETS)
def spread(request) -> np.ndarray:
    return hashes(SETS[request.param])


def chi_square(buckets: np.ndarray, count: int) -> float:
    """Return how far counts are from even, in standard deviations of what chance would do."""
    seen = np.bincount(buckets, minlength=count)
    expected = len(buckets) / count
    value = ((seen - expected) ** 2 / expected).sum()
    return float((value - (count - 1)) / np.sqrt(2 * (count - 1)))


def test_flow_hash__low_16_bits_are_spread(spread):
    assert abs(chi_square((spread & np.uint64(0xFFFF)).astype(np.int64), 1 << 16)) < 5


def test_flow_hash__low_10_bits_are_spread(spread):
    assert abs(chi_square((spread & np.uint64(0x3FF)).astype(np.int64), 1 << 10)) < 5


def test_flow_hash__next_16_bits_are_spread(spread):
    assert abs(chi_square((spread >> np.uint64(16) & np.uint64(0xFFFF)).astype(np.int64), 1 << 16)) < 5


def test_flow_hash__top_3_bits_are_spread(spread):
    assert abs(chi_square((spread >> np.uint64(61)).astype(np.int64), 8)) < 5


def test_flow_hash__shard_and_slot_are_independent(spread):
    both = (spread >> np.uint64(61)) << np.uint64(8) | (spread & np.uint64(0xFF))
    assert abs(chi_square(both.astype(np.int64), 1 << 11)) < 5


def test_flow_hash__low_32_bits_collide_no_more_than_chance(spread):
    collisions = len(spread) - len(np.unique(spread & np.uint64(0xFFFFFFFF)))
    assert collisions <= 6  # 0.5 expected among 65,536 keys


def test_flow_hash__whole_hash_is_free_of_collisions(spread):
    assert len(np.unique(spread)) == len(spread)


def flips() -> Iterator[tuple[int, int]]:
    """Yield word and bit of what differs between keys: addresses and ports."""
    for word in range(4):
        for bit in range(64):
            yield word, bit
    for bit in range(32):
        yield 4, bit


def test_flow_hash__each_input_bit_reaches_each_output_bit():
    rng = np.random.default_rng(1)
    base = rng.integers(0, 1 << 64, (2000, 5), np.uint64)
    base[:, 4] &= np.uint64(0xFFFFFFFF)
    plain = np.empty(len(base), np.uint64)
    hash_many(base.ravel(), plain)
    worst = 0.0
    for word, bit in flips():
        other = base.copy()
        other[:, word] ^= np.uint64(1 << bit)
        changed = np.empty(len(base), np.uint64)
        hash_many(other.ravel(), changed)
        bits = np.unpackbits((plain ^ changed).view(np.uint8).reshape(-1, 8), axis=1)
        worst = max(worst, float(np.abs(bits.mean(axis=0) - 0.5).max()))
    assert worst < 0.12


def test_flow_hash__equals_its_description():
    rows = [(0, server(1), 0, server(2), 5), ((1 << 64) - 1,) * 4 + ((1 << 32) - 1,), (0, 0, 0, 0, 0)]
    assert hashes(rows).tolist() == [reference_hash(*row) for row in rows]
