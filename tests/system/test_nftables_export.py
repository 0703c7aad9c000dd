"""An exported policy in a real kernel: real sessions run on its times, state by state, for each application."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import struct
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from lastack.app.nftables import ApplyError, apply_ruleset, compare
from lastack.app.policies import load_policy
from lastack.cli.main import run
from lastack.export.nftables import DEFAULTS, Ruleset, ruleset
from lastack.lab import netns
from lastack.lab.host import Host
from lastack.lab.topology import Lab
from lastack.lab.waiting import wait_until

_MISSING = netns.missing() or (
    "" if shutil.which("conntrack") else "needs conntrack (apt-get install conntrack)"
)
pytestmark = [pytest.mark.system, pytest.mark.skipif(bool(_MISSING), reason=_MISSING)]

BATCH, OTHER = 9001, 9100
POLICY = f"""
profile = "linux_conntrack"
[timers]
syn_sent = "71s"
syn_recv = "72s"
established = "7300s"
fin_wait = "74s"
close_wait = "75s"
last_ack = "76s"
time_wait = "77s"
close = "78s"
unacknowledged = "230s"
max_retrans = "190s"
[[override]]
name = "batch"
ports = "9000-{BATCH}"
[override.timers]
syn_sent = "81s"
syn_recv = "82s"
established = "8300s"
fin_wait = "84s"
close_wait = "85s"
last_ack = "86s"
time_wait = "87s"
close = "88s"
"""
EVENT = re.compile(r"\[(?:NEW|UPDATE)\] +tcp +6 (\d+) (\w+) .*?dport=(\d+)")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab("router") as built:
        yield built


def written(folder: Path, text: str) -> Ruleset:
    path = folder / "policy.toml"
    path.write_text(text, encoding="utf-8")
    return ruleset(*load_policy(str(path)))


class Events:
    """What `conntrack -E` tells on a box, from before the first session on."""

    def __init__(self, box: Host) -> None:
        command = ["conntrack", "-E", "-p", "tcp", "-o", "ktimestamp"]
        self.process = box.popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert self.process.stdout is not None
        os.set_blocking(self.process.stdout.fileno(), False)
        self.text = ""

    def seconds(self, port: int, last: str, count: int = 1) -> dict[str, int]:
        """Return the time that a port's sessions had in each state, once `last` was seen `count` times."""
        wait_until(lambda: self._states(port).count(last) >= count, f"{last} on port {port}: {self.text}")
        return {state: int(value) for value, state, told in EVENT.findall(self.text) if int(told) == port}

    def _states(self, port: int) -> list[str]:
        with contextlib.suppress(BlockingIOError):
            self.text += os.read(self.process.stdout.fileno(), 1 << 16).decode()
        return [state for _, state, told in EVENT.findall(self.text) if int(told) == port]

    def close(self) -> None:
        self.process.terminate()
        self.process.communicate(timeout=10)


def is_listening(box: Host) -> bool:
    """Return whether somebody on the box reads conntrack's events: netlink protocol 12 with groups."""
    rows = [line.split() for line in box.read("/proc/net/netlink").splitlines()[1:]]
    return any(row[1] == "12" and int(row[3], 16) for row in rows)


class Sessions:
    """Connections from the lab's client to its server."""

    def __init__(self, lab: Lab, family: socket.AddressFamily) -> None:
        self.lab, self.family = lab, family
        self.target = lab.server.address(6 if family == socket.AF_INET6 else 4)

    def opened(self, port: int) -> tuple[socket.socket, socket.socket]:
        with self.lab.server.socket(self.family) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind((self.target, port))
            listener.listen()
            client = self.lab.client.socket(self.family)
            client.settimeout(10)
            client.connect((self.target, port))
            server, _ = listener.accept()
            server.settimeout(10)
        return client, server

    def closed(self, port: int) -> None:
        self.close(*self.opened(port))

    @staticmethod
    def close(client: socket.socket, server: socket.socket) -> None:
        """Close from the client, with a half-closed phase in which the server answers."""
        client.shutdown(socket.SHUT_WR)
        assert server.recv(1) == b""
        server.sendall(b"x")
        assert client.recv(1) == b"x"
        server.close()
        assert client.recv(1) == b""
        client.close()

    def reset(self, port: int) -> None:
        client, server = self.opened(port)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        server.close()


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["ipv4", "ipv6"])
def test_sessions__run_on_the_times_of_their_application(
    lab: Lab, tmp_path: Path, family: socket.AddressFamily
) -> None:
    applied = apply_ruleset(written(tmp_path, POLICY), lab.box.namespace.path)
    assert (applied.objects, applied.rules) == (2, 2)
    sessions, events = Sessions(lab, family), Events(lab.box)
    try:
        wait_until(lambda: is_listening(lab.box), "conntrack -E")
        for port, tens in ((OTHER, 70), (BATCH, 80)):
            sessions.closed(port)
            states = events.seconds(port, "TIME_WAIT")
            assert states == {
                "SYN_SENT": tens + 1,
                "SYN_RECV": tens + 2,
                "ESTABLISHED": tens * 100 + 300,
                "FIN_WAIT": tens + 4,
                "CLOSE_WAIT": tens + 5,
                "LAST_ACK": tens + 6,
                "TIME_WAIT": tens + 7,
            }
            sessions.reset(port)
            assert events.seconds(port, "CLOSE")["CLOSE"] == tens + 8
    finally:
        events.close()


def test_unacknowledged_and_repeated_data__run_on_their_caps(lab: Lab, tmp_path: Path) -> None:
    apply_ruleset(written(tmp_path, POLICY), lab.box.namespace.path)
    client, server = Sessions(lab, socket.AF_INET).opened(OTHER)
    try:
        lab.server.nft("chain mute { type filter hook output priority 0; policy drop; }", "mute")
        client.sendall(b"nobody acknowledges this")
        # the listing counts down, so that a cap is seen a few seconds below its value
        wait_until(lambda: 220 < left_s(lab.box, OTHER) <= 230, "the time for data that is not acknowledged")
        wait_until(lambda: 180 < left_s(lab.box, OTHER) <= 190, "the time for data sent four times", 20.0)
    finally:
        lab.server.nft("", "mute")
        client.close()
        server.close()


def left_s(box: Host, port: int) -> int:
    """Return the seconds that the established session to a port has left, 0 without one."""
    listing = box.run(["conntrack", "-L", "-p", "tcp", "--dport", str(port)]).stdout
    found = re.findall(r"tcp +6 (\d+) ESTABLISHED", listing)
    return int(found[0]) if found else 0


def test_reapplied__gives_new_sessions_the_new_times_and_leaves_the_old_ones_theirs(
    lab: Lab, tmp_path: Path
) -> None:
    apply_ruleset(written(tmp_path, POLICY), lab.box.namespace.path)
    sessions, events = Sessions(lab, socket.AF_INET), Events(lab.box)
    try:
        wait_until(lambda: is_listening(lab.box), "conntrack -E")
        old = sessions.opened(BATCH)
        events.seconds(BATCH, "ESTABLISHED")
        changed = written(tmp_path, POLICY.replace('"85s"', '"222s"'))
        applied = apply_ruleset(changed, lab.box.namespace.path)
        assert len(applied.older) >= 1
        sessions.closed(BATCH - 1)
        assert events.seconds(BATCH - 1, "TIME_WAIT")["CLOSE_WAIT"] == 222
        sessions.close(*old)
        assert events.seconds(BATCH, "TIME_WAIT")["CLOSE_WAIT"] == 85
    finally:
        events.close()


def test_apply__is_read_back_with_nft_defaults_filled_in(lab: Lab, tmp_path: Path) -> None:
    rules = written(tmp_path, 'profile = "linux_conntrack"\n')
    assert dict(rules.objects[0].seconds) == DEFAULTS, "its listing shows no value at all"
    assert apply_ruleset(rules, lab.box.namespace.path).objects == 1
    assert apply_ruleset(rules, lab.box.namespace.path).rules == 1, "a second time is the same"


def test_compare__sees_another_value() -> None:
    rules = written_from({"close_wait": 61})
    with pytest.raises(ApplyError, match="close_wait is 60 s in the kernel, not 61 s"):
        compare(rules, [{"ct timeout": {"name": rules.objects[0].name, "policy": {}}}])


def written_from(changes: dict[str, int]) -> Ruleset:
    from lastack.export.nftables import TimeoutObject

    item = TimeoutObject("all_1", "global", {**DEFAULTS, **changes})
    return Ruleset("t", (item,), ('ct timeout set "all_1" return',), ("global",), ())


def test_command__applies_to_a_named_namespace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name = f"lastack-{os.getpid()}-{uuid.uuid4().hex[:6]}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        path = tmp_path / "policy.toml"
        path.write_text(POLICY, encoding="utf-8")
        assert run(["policy", "export", "nftables", str(path), "--apply", "--netns", name]) == 0
        told = capsys.readouterr()
        assert "2 ct timeout objects, 2 rules, read back" in told.err
        assert told.out == ""
        listing = subprocess.run(
            ["ip", "netns", "exec", name, "nft", "list", "table", "inet", "lastack_timers"],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        assert "tcp dport 9000-9001 ct timeout set" in listing
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


def test_command__knows_no_such_namespace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(POLICY, encoding="utf-8")
    assert run(["policy", "export", "nftables", str(path), "-q", "--apply", "--netns", "nobody"]) == 2
    assert "--netns nobody: no such network namespace" in capsys.readouterr().err
