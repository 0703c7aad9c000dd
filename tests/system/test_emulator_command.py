"""`lastack emulate` as people run it: log, control socket, reload, a flood, a signal."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import socket
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.system.emulator_lab import connected, hears, wires
from tests.system.lab_tools import LASTACK, lastack, needs_lab

from lastack.emulator.control import ask
from lastack.lab import Lab, wait_until
from lastack.wire import build

pytestmark = [pytest.mark.system, needs_lab]

POLICY = 'profile = "panos"\n[timers]\ntcp_half_closed = "{}"\n'


class Command:
    """A running `lastack emulate` in a lab's box, with a control socket and a log."""

    def __init__(self, lab: Lab, folder: Path, *words: str) -> None:
        self.control, self.log = folder / "box.sock", folder / "events.jsonl"
        self.process = lab.box.popen(
            [*LASTACK, "emulate", "--inside", "inside", "--outside", "outside", "--config", "none",
             "--control", str(self.control), "--log", str(self.log), *words],
            stderr=subprocess.PIPE,
        )  # fmt: skip
        wait_until(lambda: self.control.exists() or self.process.poll() is not None, "the box", 60)
        assert self.process.poll() is None, self.process.stderr.read()

    def ask(self, verb: str) -> Any:
        return ask(str(self.control), verb)

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def memory_kib(self) -> int:
        found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{self.process.pid}/status").read_text())
        assert found is not None
        return int(found[1])


@contextlib.contextmanager
def running(folder: Path, *words: str) -> Iterator[tuple[Lab, Command]]:
    with Lab("emulator") as lab:
        yield lab, Command(lab, folder, *words)


def test_control_socket__lists_reloads_clears_and_stops(tmp_path: Path) -> None:
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY.format("1h"))
    with (
        running(tmp_path, "--policy", str(policy)) as (lab, box),
        connected(lab, 80) as (client, server),
        connected(lab, 81, 6) as (client6, server6),
    ):
        client.shutdown(socket.SHUT_WR)
        assert server.recv(1) == b""
        listed = lastack("emulator", "sessions", "--control", str(box.control), "--format", "json")
        one, other = sorted(json.loads(listed.stdout), key=lambda row: row["to"])
        assert (one["to"], one["phase"], one["timer"]) == ("192.0.2.2 80", "fin1_acked", "tcp_half_closed")
        assert (other["to"], other["phase"]) == ("2001:db8::2 81", "established")
        assert 3590e9 < one["left_ns"] < 3600e9

        policy.write_text(POLICY.format("1s"))
        assert box.ask("reload") == "panos reloaded, 2 sessions kept"
        wait_until(lambda: box.ask("stats")["live"] == 1, "the shorter timer", poll_s=0.05)
        server.sendall(b"late")
        assert not hears(client)
        client6.sendall(b"alive")
        assert server6.recv(9) == b"alive"

        policy.write_text("profile = 7\n")
        refused = lastack("emulator", "reload", "--control", str(box.control))
        assert refused.returncode != 0
        assert "profile" in refused.stderr
        policy.write_text(POLICY.format("2s"))
        box.process.send_signal(signal.SIGHUP)
        wait_until(lambda: "reloaded" in box.process.stderr.readline(), "the word about it")

        assert box.ask("clear") == 1
        client6.sendall(b"late")
        assert not hears(server6)
        lastack("emulator", "stop", "--control", str(box.control))
        assert box.process.wait(10) == 0
        assert not box.control.exists()
        gone = lastack("emulator", "stats", "--control", str(box.control))
        assert gone.returncode == 3
        assert "is a box with --control" in gone.stderr
    events = [(event["event"], event.get("phase"), event.get("why")) for event in box.events()]
    assert [event for event in events if event[0] == "gone"] == [
        ("gone", "fin1_acked", "expired"),
        ("gone", "established", "deleted"),
    ]
    assert events.count(("made", "syn_sent", None)) == 2
    assert ("phase", "fin1", None) in events


def test_flood__takes_no_more_memory_the_longer_it_lasts(tmp_path: Path) -> None:
    """SYNs from ever new ports and addresses: entries go as their timer says, and their room is used again."""
    wave = 6_000
    with running(tmp_path, "--profile", "panos", "--set", "tcp_init=1s", "--speed", "10", "--log", "/dev/null") as (
        lab, box,
    ), wires(lab) as (inside, _):  # fmt: skip
        memory, made = [], 0
        for number in range(4):
            flood(inside._socket, number * wave, wave)
            made += wave
            # what the machine was too busy to take is not counted
            wait_until(lambda: box.ask("stats")["live"] == 0, "the end of a wave", 20, 0.05)
            memory.append(box.memory_kib())
        stats = box.ask("stats")
        assert stats["ended"]["expired"] > made * 0.5
        assert memory[-1] - memory[1] < 8_000, memory
        assert memory[-1] - memory[0] < 40_000, memory


def flood(raw: socket.socket, first: int, number: int) -> None:
    """Send SYNs of so many tuples nobody used yet."""
    frame = bytearray(
        bytes.fromhex("0200000000020200000000010800")
        + build.ipv4("10.0.0.0", "192.0.2.2", build.syn(1, 80)).data
    )
    raw.setblocking(True)
    for tuple_ in range(first, first + number):
        # the kernel passes frames on whatever their checksums say
        struct.pack_into(">I", frame, 26, 0x0A000000 + (tuple_ >> 15))
        struct.pack_into(">H", frame, 34, 1024 + (tuple_ & 0x7FFF))
        raw.send(frame)


def test_signal__ends_it_with_a_last_line(tmp_path: Path) -> None:
    with running(tmp_path, "--profile", "pf") as (lab, box), connected(lab, 80):
        box.process.send_signal(signal.SIGTERM)
        _, said = box.process.communicate(timeout=10)
        assert box.process.returncode == 0
        assert re.search(r"lastack: \d+ segments passed; 1 held", said)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--profile", "panos", "--inside", "nosuch", "--outside", "lo"], 2, "interface nosuch: No such device"),
        (["--profile", "linux_host", "--inside", "lo", "--outside", "lo"], 2, "is a host, not a box"),
        (["--profile", "panos", "--inside", "lo", "--outside", "lo"], 2, "the same interface"),
        (["--inside", "lo", "--outside", "lo"], 2, "name a box"),
    ],
)  # fmt: skip
def test_emulate__refuses_what_makes_no_sense(words: list[str], code: int, message: str) -> None:
    done = lastack("emulate", *words)
    assert (done.returncode, message in done.stderr) == (code, True), done.stderr
