"""The same traffic through the emulated Linux box and through the kernel's conntrack: who lives, who dies, and when."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any

import pytest
from tests.naive.box import NaiveBox
from tests.system.conntrack_lab import (
    END_MACS,
    PACKET_IGNORE_OUTGOING,
    SO_RCVBUFFORCE,
    SOL_PACKET,
    Router,
    play,
    script,
)
from tests.system.emulator_lab import Emulated, profile, stays
from tests.system.lab_tools import needs_lab

from lastack.app.boxes import make_box
from lastack.emulator.af_packet import Bridge
from lastack.emulator.clock import BoxClock
from lastack.emulator.engine import Engine
from lastack.firewall.table import Box
from lastack.lab import Lab, wait_until
from lastack.lab.netns import Namespace
from lastack.wire import build

pytestmark = [
    pytest.mark.system,
    needs_lab,
    pytest.mark.skipif(
        shutil.which("conntrack") is None, reason="needs conntrack (apt-get install conntrack)"
    ),
]
TIMERS = {
    "syn_sent": 2, "syn_recv": 1, "established": 4, "fin_wait": 3, "close_wait": 2, "last_ack": 1, "time_wait": 2,
    "close": 1, "max_retrans": 3, "unacknowledged": 3,
}  # fmt: skip
TICKS, TICK_S, SESSIONS = 7, 0.73, 300
#: A packet so near to a deadline is no evidence: the machine is shared.
MARGIN_NS = 120_000_000
SETS = [f"{name}={seconds}s" for name, seconds in TIMERS.items()]


class EmulatedRouter(Router):
    """Cables as those of a `Router`, with the emulator between them."""

    def __init__(self, box: Box) -> None:
        self.box, self.ends = Namespace(), (Namespace(), Namespace())
        self.sockets: list[socket.socket] = []
        for side, end in enumerate(self.ends):
            self._ip(self.box, f"link add r{side} type veth peer name e{side} netns {end.path}")
            self._ip(self.box, f"link set r{side} up")
            self._ip(end, f"link set e{side} address {END_MACS[side].hex(':')} up")
            with end.entered():
                raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800))
                raw.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
                raw.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
                raw.bind((f"e{side}", 0x0800))
                raw.setblocking(False)
            self.sockets.append(raw)
        self.engine, clock = Engine(box, guarded=False), BoxClock()
        self.engine.machine.begin(clock.now())
        with self.box.entered():
            self.bridge = Bridge(self.engine, "r0", "r1", clock)
        self._thread = threading.Thread(target=self.bridge.run, args=(1.0, lambda: None), daemon=True)
        self._thread.start()
        stray = build.ipv4("10.71.0.1", "10.72.0.1", build.tcp(1, 1, flags=4)).data
        for side in (0, 1):
            before = self._handled()

            def comes_through(side: int = side, before: int = before) -> bool:
                Router.send(self, side, stray)
                return self._handled() > before

            wait_until(comes_through, "a cable to carry frames", poll_s=0.01)
        # the strays that are still on their way
        wait_until(self._is_still, "the last stray")
        self._sent = self._handled()

    def _is_still(self) -> bool:
        before = self._handled()
        return stays(lambda: self._handled() == before, 0.05)

    def _handled(self) -> int:
        return sum(self.engine.machine.counts().values())

    def send(self, side: int, frame: bytes) -> None:
        """Send a frame and wait until it was handled: two cables have no common order, the kernel has none to lose."""
        super().send(side, frame)
        self._sent += 1

        wait_until(lambda: self._handled() >= self._sent, "the emulator to handle a frame", poll_s=0.0001)

    def entries(self) -> dict[Any, Any]:
        return {}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bridge.stop()
        self._thread.join(5)
        self.bridge.close()
        super().__exit__(kind, error, trace)


def test_linux__the_same_packets_pass_the_emulator_and_the_kernel() -> None:
    box, _, _ = make_box(profile("linux_conntrack", *SETS, "loose=off"))
    with contextlib.ExitStack() as stack:
        kernel = stack.enter_context(Router(TIMERS, {"loose": 0, "be_liberal": 0}))
        emulated = stack.enter_context(EmulatedRouter(box))
        theirs, ours = play(
            [kernel, emulated], [script(n + 9_000, TICKS) for n in range(SESSIONS)], TICKS, TICK_S
        )
    # each run has its own times: a stall of the machine between two packets may outlast a timer in one run alone
    naive, delayed = NaiveBox(box), NaiveBox(box)
    unsure, told, compared, lost = set(), [], 0, 0
    rows = zip(theirs.packets, theirs.through, ours.packets, ours.through, strict=True)
    for packet, through_kernel, again, through_box in rows:
        assert packet.number == again.number
        key = tuple(sorted([(packet.src, packet.sport), (packet.dst, packet.dport)]))
        known = naive.entries.get(key)  # type: ignore[call-overload]
        times = sorted((packet.ts_ns, again.ts_ns))
        if known is not None and times[0] - MARGIN_NS < naive.deadline(known) < times[1] + MARGIN_NS:
            unsure.add(key)
        if naive.offer(again, 0) != delayed.offer(packet, 0):
            unsure.add(key)
        if key in unsure:
            continue
        compared += 1
        lost += not through_kernel
        if through_kernel is not through_box:
            told.append(f"{packet}: kernel {through_kernel}, emulator {through_box}")
            unsure.add(key)
    assert not told, "\n".join(told)
    assert compared > 1_000
    assert lost > 100


COMMAND = [sys.executable, "-m", "lastack.cli.main", "probe"]


def bounds(lab: Lab) -> dict[str, tuple[int, int]]:
    """Return for each question of the path test the longest silence survived and the shortest that killed, in ns."""
    responder = lab.server.popen([*COMMAND, "responder", "-q"], stdout=subprocess.PIPE)
    port = responder.stdout.readline().strip()
    words = [
        "--longest",
        "2300ms",
        "-n",
        "200",
        "--shortest",
        "500ms",
        "--no-reuse",
        "--no-raw",
        "--no-reverse",
        "-q",
    ]
    done = lab.client.run(
        [*COMMAND, "path", lab.server.address(), "-p", port, "--format", "json", *words], check=False
    )
    assert done.stdout, done.stderr
    findings = json.loads(done.stdout)["findings"]
    return {one["name"]: (one["kept_up_to_ns"], one["broken_from_ns"]) for one in findings}


def test_linux__timers_are_the_kernels_to_20_ms() -> None:
    words = profile(
        "linux_conntrack", "fin_wait=1s", "close_wait=1s", "established=2s", "unacknowledged=2s", "loose=off"
    )
    with (
        Lab("firewall", timers={"half_closed": 1, "established": 2, "unack": 2}) as real,
        Lab("emulator") as lab,
        Emulated(lab, words, guarded=False),
        ThreadPoolExecutor(2) as both,
    ):
        found = list(both.map(bounds, (real, lab)))
    kernel, box = found
    assert kernel.keys() == box.keys()
    assert len(kernel) >= 4
    for name, (kept, broken) in kernel.items():
        # the timer is between the two: where the ranges, widened by 20 ms, do not meet, the timers differ
        assert box[name][0] - 20_000_000 < broken, (name, found)
        assert kept < box[name][1] + 20_000_000, (name, found)
        assert broken - kept < 100_000_000, (name, found)
        assert box[name][1] - box[name][0] < 100_000_000, (name, found)
