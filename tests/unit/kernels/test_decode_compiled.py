"""How the decoder is compiled: no reference counts per packet, and the general decoder only when it is needed."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tests.unit.wire.frames import nested_frames

from lastack.kernels._jit import INTERPRETED
from lastack.kernels.decode import decode_many
from lastack.model.batch import FRAME, SEGMENT
from lastack.model.enums import Drop

pytestmark = pytest.mark.skipif(INTERPRETED, reason="nothing is compiled")


# In a process of its own without a cache: code that comes from the cache cannot be inspected.
SCRIPT = """
import numpy as np
from lastack.kernels import decode_rare
from lastack.kernels._jit import kernel
from lastack.kernels.decode import decode_frame
from lastack.kernels.decode_words import segment_at
from lastack.model.batch import SEGMENT
from lastack.wire.wrap import frame, pppoe
from tests.unit.kernels.test_decode import CHATTER
from tests.unit.wire.frames import packets

@kernel
def decode_one(address, caplen, wirelen, link, segment):
    return decode_frame(address, caplen, wirelen, link, segment_at(segment))

def run(data):
    raw, segment, size = np.frombuffer(data, np.uint8), np.zeros(1, SEGMENT), np.int64(len(data))
    return decode_one(np.uint64(raw.ctypes.data), size, size, np.int64(1), np.uint64(segment.ctypes.data))

packet = dict(packets())["v4"]
assert run(frame(packet, 1)) == 0
for chatter in CHATTER.values():
    assert run(chatter) != 0
assert not decode_rare._compiled, "a plain capture needs the fast path only"
assert all("NRT_incref" not in text for text in decode_one.inspect_asm().values())
assert run(frame(pppoe(packet), 1)) == 0
assert decode_rare._compiled
assert "NRT_incref" not in decode_rare._compiled[0].inspect_llvm()
"""


def test_general_decoder__is_compiled_by_the_first_frame_that_needs_it_and_counts_no_references():
    environment = {**os.environ, "PYTHONPATH": ".", "LASTACK_NO_CACHE": "1", "LASTACK_KERNELS": "numba"}
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=environment, check=False)
    assert done.returncode == 0


def test_general_decoder__serves_several_threads():
    rows = [data for _, data in nested_frames()]
    raw = np.frombuffer(b"".join(rows), np.uint8)
    frames = np.zeros(len(rows), FRAME).view(np.recarray)
    frames.caplen = frames.wirelen = [len(row) for row in rows]
    frames.offset = np.cumsum([0, *map(len, rows[:-1])])
    frames.link = 1

    def run(_: int) -> int:
        segments = np.zeros(len(rows), SEGMENT).view(np.recarray)
        counts = np.zeros(len(Drop), np.int64)
        return sum(decode_many(np.uint64(raw.ctypes.data), frames, segments, counts) for _ in range(20))

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(run, range(8))) == {20 * len(rows)}
