"""Nothing is compiled while captures are read: the steps of `prepare` have used every kernel that a run asks for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from lastack.kernels import cache

pytestmark = pytest.mark.skipif(
    cache.mode() != cache.STORED, reason="nothing is compiled for other processes"
)

#: Begins a process of its own: what it asks the cache for is noted, once it has taken the steps of some groups.
BEGIN = """
import contextlib, gzip, io, sys
from pathlib import Path
import lastack.app
from lastack.app import prepare
from lastack.kernels import cache, stored

asked, kept = set(), stored.kept
def noted(name, kinds):
    asked.add((name, repr(kinds)))
    return kept(name, kinds)
stored.kept = noted
def take(*groups):
    for group in groups:
        for step in prepare.GROUPS[group]:
            prepare._STEPS[step]()

from lastack.capture.writer import PcapWriter
from lastack.cli.main import run
from lastack.model.batch import ACK, SYN
from lastack.wire import build

folder = Path(sys.argv[1])
plain = [f"tests/captures/{name}.pcap" for name in (
    "retransmitted", "zero_window_death", "half_closed_waiting", "port_reused", "syn_scan", "kept_open")]
def half_open(name, first_ns):
    with PcapWriter(folder / name, link=101) as writer:
        for number in range(2500):
            client, now = f"10.0.{number >> 8}.{number & 255}", first_ns + number * 1_000_000
            writer.write(now, build.ipv4(client, "192.0.2.1", build.syn(40000, 80)).data)
            answer = build.tcp(80, 40000, seq=9, ack=1, flags=SYN | ACK)
            writer.write(now + 1, build.ipv4("192.0.2.1", client, answer).data)
    return str(folder / name)
missing = set()
@contextlib.contextmanager
def reading():
    before = set(asked)
    with contextlib.redirect_stdout(io.TextIOWrapper(io.BytesIO())):
        yield
    missing.update(asked - before)
def lastack_does(*words):
    assert run(list(words)) == 0, words
"""

TRACKING = """
take(cache.TRACKING)
one, other = half_open("one.pcap", 0), half_open("other.pcap", 500)
packed = folder / "packed.pcap.gz"
packed.write_bytes(gzip.compress(Path(one).read_bytes()))
with reading():
    lastack_does("analyze", *plain, "-o", str(folder / "dataset"))
    lastack_does("analyze", one, "--threads", "1")
    lastack_does("analyze", str(packed))
    lastack_does("sessions", one, other)
    lastack_does("sessions", one, "--max-sessions", "64")
    lastack_does("sessions", one, "--idle-timeout", "1s")
    import lastack
    lastack.track(one, threads=2, window_bytes=4096)
take(cache.LIVE)  # has the general decoder, which the first group leaves to those who need it
with reading():
    lastack_does("analyze", "samples/closes.pcapng")
    lastack_does("sessions", *map(str, Path("tests/captures").glob("*.pcap")))
    lastack.track("samples/closes.pcapng", threads=2, window_bytes=4096)
"""

LIVE = """
take(cache.TRACKING, cache.LIVE)
sys.stdin = open("samples/closes.pcapng", "rb")
with reading():
    lastack_does("watch", "-", "-o", str(folder / "live"), "--closed-linger", "100ms")
"""

REPLAY = """
take(cache.TRACKING, cache.REPLAY)
with reading():
    lastack_does("replay", "--profile", "panos", *plain)
"""

END = """
print(*sorted(name for name, _ in missing))
"""


@pytest.mark.parametrize("work", [TRACKING, LIVE, REPLAY], ids=["tracking", "live", "replay"])
def test_run__asks_for_no_kernel_that_was_not_prepared(work: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + work + END, str(tmp_path)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=170,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
