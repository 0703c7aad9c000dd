"""What went into the emulated box, replayed from a capture of its cables, gets the same verdicts."""

from __future__ import annotations

import contextlib
import itertools
import json
import socket
from pathlib import Path
from typing import Any

import pytest
from tests.system.emulator_lab import CLIENT_MAC, SERVER_MAC, Emulated, connected, profile, wires
from tests.system.lab_tools import lastack, needs_lab

from lastack.capture.writer import PcapngWriter
from lastack.lab import Lab, wait_until
from lastack.lab.sniffer import LINK_ETHERNET, Frame, Sniffer
from lastack.wire import build

pytestmark = [pytest.mark.system, needs_lab]

LATE_STAMP_NS = 5_000_000

SETS = {
    "panos_legacy": ("tcp_wait=400ms", "tcp=700ms"),
    "f5_fastl4": ("idle=600ms", "close=300ms"),
    "linux_conntrack": ("close_wait=400ms", "established=700ms", "time_wait=300ms", "close=200ms"),
    "pf": ("tcp_closing=400ms", "tcp_finwait=300ms", "tcp_established=700ms"),
}


def use(lab: Lab, box: Emulated) -> None:
    """Make sessions that close in many ways, at once and after every timer has ended."""
    with contextlib.ExitStack() as stack:
        pairs = [
            stack.enter_context(connected(lab, port, version))
            for version, port in itertools.product((4, 6), range(8000, 8006))
        ]
        inside, outside = stack.enter_context(wires(lab))
        for place, (client, server) in enumerate(pairs):
            client.sendall(b"hello" * 100 * place)
            server.sendall(bytes(100_000))
            match place % 6:
                case 0:
                    client.shutdown(socket.SHUT_WR)
                case 1:
                    server.shutdown(socket.SHUT_WR)
                case 2:
                    client.shutdown(socket.SHUT_WR)
                    server.shutdown(socket.SHUT_WR)
                case 3:
                    server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                    server.close()
                case 4:  # somebody in the middle
                    family = build.ipv4 if place < 6 else build.ipv6
                    ends = client.getsockname()[:2], server.getsockname()[:2]
                    wild = build.tcp(ends[1][1], ends[0][1], seq=77, flags=4)
                    outside.send(family(ends[1][0], ends[0][0], wild))
        inside.send(build.ipv4("192.0.2.1", "192.0.2.2", build.tcp(9, 9, flags=17)))
        outside.send(build.ipv4("192.0.2.2", "192.0.2.1", build.syn(7, 7)))
        later = box.clock.now() + 200_000_000
        for _ in range(2):
            wait_until(lambda: box.clock.now() > later, "the next round")  # noqa: B023
            for client, server in pairs:
                for end in (client, server):
                    with contextlib.suppress(OSError):
                        end.send(b"late")
            later += 700_000_000


def fate(frames: list[Frame], mac: bytes, out: list[Frame]) -> list[tuple[Frame, int | None]]:
    """Return the frames that a host sent, and when each came out at the other side (ns), None if it did not."""
    came: dict[bytes, list[int]] = {}
    for frame in out:
        if frame.data[6:12] == mac:
            came.setdefault(frame.data, []).append(frame.ts_ns)
    told = []
    for frame in frames:
        if frame.data[6:12] == mac:
            times = came.get(frame.data)
            told.append((frame, times.pop(0) if times else None))
    return told


@pytest.mark.parametrize("name", SETS)
def test_replay_of_what_went_in__gives_the_verdicts_that_the_box_gave(name: str, tmp_path: Path) -> None:
    words = profile(name, *SETS[name])
    with Lab("emulator") as lab, contextlib.ExitStack() as stack:
        sniffers = [Sniffer(lab.box, device) for device in ("inside", "outside")]
        for sniffer in sniffers:
            stack.callback(sniffer.close)
        with Emulated(lab, words) as box:
            use(lab, box)
            wait_until(lambda: box.engine.machine.live == 0 or box.engine.ended, "ends")
        inside, outside = (sniffer.drain() for sniffer in sniffers)
        assert [sniffer.close() for sniffer in sniffers] == [0, 0]
    told = fate(inside, CLIENT_MAC, outside) + fate(outside, SERVER_MAC, inside)
    told.sort(key=lambda one: one[0].ts_ns)
    path = tmp_path / "in.pcapng"
    with PcapngWriter(path, "test", "test") as out:
        out.add_interface(LINK_ETHERNET, 0, "box")
        for frame, _ in told:
            out.write(frame.ts_ns, frame.data, frame.wirelen, interface=0)
    rows = verdicts(path, name, 0)
    assert len(rows) > 150
    wrong = differing(rows, told)
    if wrong:
        # The kernel stamps a packet a moment before the box takes it, or longer if the machine stands still. What meets
        # the very end of a timer is no evidence: it gets the other verdict when timers are a little longer, or shorter.
        stood_ms = max(came - frame.ts_ns for frame, came in told if came is not None) // 1_000_000
        slack_ms = min(60 + stood_ms, 150)
        others = [differing(verdicts(path, name, ms), told) for ms in (-slack_ms, slack_ms)]
        wrong = [row for row in wrong if all(row in other for other in others)]
        wrong = [row for row in wrong if not raced(rows[row - 1], rows)]
        assert len(wrong) < len(rows) * 0.02
    assert wrong == []
    assert {row["action"] for row in rows} >= {"forward", "drop" if name != "f5_fastl4" else "reset"}


def differing(rows: list[dict[str, Any]], told: list[tuple[Frame, int | None]]) -> list[int]:
    """Return the packets that a replay forwards and the box did not, or the other way round."""
    return [
        row["packet"]
        for row in rows
        if (row["action"] == "forward") != (told[row["packet"] - 1][1] is not None)
    ]


def raced(row: dict[str, Any], rows: list[dict[str, Any]]) -> bool:
    """Return whether a packet is invalid to a replay that may have it before what it answers.

    On a busy machine some data has a later time stamp than its acknowledgment, by some tenths of a millisecond.
    """
    answer = [row[name] for name in ("dst", "dport", "src", "sport")]
    return row["reason"] == "invalid" and any(
        [other[name] for name in ("src", "sport", "dst", "dport")] == answer
        and other["seq"] < row["ack"] <= other["seq"] + other["payload"]
        and 0 <= other["time_ns"] - row["time_ns"] <= LATE_STAMP_NS
        for other in rows
    )


def verdicts(path: Path, name: str, longer_ms: int) -> list[dict[str, Any]]:
    """Return the verdict on each packet of a capture, with timers that are so much longer."""
    words = []
    for text in SETS[name]:
        timer, _, value = text.partition("=")
        words += ["--set", f"{timer}={int(value.removesuffix('ms')) + longer_ms}ms"]
    out = path.with_suffix(".jsonl")
    done = lastack(
        "replay", str(path), "--profile", name, *words, "--no-forks", "--packets", str(out), "--no-adopt"
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in out.read_text().splitlines()]
