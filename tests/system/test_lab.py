"""Labs are built as they say, forget as they are told, and leave nothing behind, however they end."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.system.lab_tools import lastack, needs_lab, start

import lastack as lastack_package
from lastack.lab import Lab, LabError, registry, wait_until
from lastack.lab.reaper import processes_in

pytestmark = [pytest.mark.system, needs_lab]
FAMILIES = {4: socket.AF_INET, 6: socket.AF_INET6}


@contextlib.contextmanager
def connected(lab: Lab, version: int = 4) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Yield client's and server's end of a connection."""
    with lab.server.socket(FAMILIES[version]) as listener, lab.client.socket(FAMILIES[version]) as client:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((lab.server.address(version), 8080))
        listener.listen()
        client.settimeout(3)
        client.connect((lab.server.address(version), 8080))
        accepted, _ = listener.accept()
        with accepted:
            accepted.settimeout(3)
            yield client, accepted


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("topology", ["direct", "router", "firewall", "nat"])
def test_lab__client_reaches_server(topology: str, version: int) -> None:
    with Lab(topology) as lab, connected(lab, version) as (client, server):
        client.sendall(b"up")
        assert server.recv(9) == b"up"
        seen, own = server.getpeername()[0], client.getsockname()[0]
        assert seen == (lab.box.address(version) if topology == "nat" else own)


def test_lab__a_nat_hides_the_client_but_for_ports_that_are_forwarded() -> None:
    with Lab("nat", forwards=(5000,)) as lab, lab.client.socket() as listener:
        listener.bind(("", 5000))
        listener.listen()
        with lab.server.socket() as caller:
            caller.settimeout(3)
            caller.connect((lab.box.address(), 5000))
            listener.accept()[0].close()
        with lab.server.socket() as caller:
            caller.settimeout(0.3)
            with pytest.raises(TimeoutError):
                caller.connect((lab.client.address(), 5000))


def test_lab__an_emulators_box_passes_nothing_by_itself() -> None:
    with Lab("emulator") as lab, lab.client.socket() as client:
        links = lab.box.run(["ip", "-br", "link"]).stdout
        assert "inside" in links
        assert "outside" in links
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.connect((lab.server.address(), 80))


BRIDGE = """
import select, socket
ends = [socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) for _ in range(2)]
for end, device in zip(ends, ("inside", "outside")):
    end.setsockopt(263, 15, 1)  # frames with offload headers
    end.setsockopt(263, 23, 1)  # not what this end sends
    end.bind((device, 3))
while True:
    for end in select.select(ends, [], [])[0]:
        ends[end is ends[0]].send(end.recv(70_000))
"""


def test_lab__what_runs_in_an_emulators_box_is_waited_for() -> None:
    with Lab("emulator") as lab:
        lab.box.popen([sys.executable, "-I", "-S", "-c", BRIDGE])
        lab.await_box()
        with connected(lab) as (client, server):
            client.sendall(b"through")
            assert server.recv(9) == b"through"
    with Lab("emulator") as lab:
        lab.box.popen(["false"])
        with pytest.raises(LabError, match="has ended"):
            lab.await_box()


@pytest.mark.parametrize("expired", ["silent", "reset"])
def test_lab__a_session_is_forgotten_by_age_however_busy(expired: str) -> None:
    with Lab("nat", half_closed_life_ms=300, expired=expired) as lab, connected(lab) as (client, server):
        client.shutdown(socket.SHUT_WR)
        begun = time.monotonic()
        client.settimeout(0.25)
        last = begun
        with contextlib.suppress(OSError):
            while time.monotonic() < begun + 3:
                server.sendall(b"x")
                client.recv(1)
                last = time.monotonic()
        assert 0.2 < last - begun < 0.5
        if expired == "reset":
            wait_until(lambda: server.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), "the reset")


def test_lab__timers_are_those_of_linux_where_none_is_given() -> None:
    with Lab("firewall", timers={"half_closed": 3}) as lab:
        read = {
            name: int(lab.box.read(f"/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_{name}"))
            for name in ("fin_wait", "close_wait", "established", "time_wait")
        }
    assert read == {"fin_wait": 3, "close_wait": 3, "established": 432_000, "time_wait": 120}


def test_lab__two_run_side_by_side() -> None:
    with Lab("direct") as one, Lab("direct") as two, connected(one) as (a, b), connected(two) as (c, d):
        a.sendall(b"one")
        c.sendall(b"two")
        assert (b.recv(9), d.recv(9)) == (b"one", b"two")
        assert {one.name, two.name} <= {lab.name for lab in registry.labs()}


def test_lab__a_failing_command_says_what_and_where() -> None:
    with Lab("direct") as lab:
        with pytest.raises(LabError, match=r"ip link set nosuch up.*\(on client\)"):
            lab.client.run(["ip", "link", "set", "nosuch", "up"])
        with pytest.raises(LabError, match="nosuchprogram: No such file or directory"):
            lab.client.run(["nosuchprogram"])
        with pytest.raises(LabError, match=r"not done after 0.05 s"):
            lab.client.run(["cat", "/dev/zero", "/dev/null"], timeout_s=0.05)


def test_lab__leaves_no_process_and_no_file_after_a_failure() -> None:
    inodes: set[int] = set()
    lab = Lab("nat")
    with contextlib.suppress(ZeroDivisionError), lab:
        inodes |= {host.namespace.inode for host in lab.hosts.values()}
        # a daemon: it is nobody's child any more
        lab.server.run(["sh", "-c", "setsid tail -f /dev/null >/dev/null 2>&1 &"])
        assert len(processes_in(inodes)) == 1
        raise ZeroDivisionError
    assert not lab.folder.exists()
    assert processes_in(inodes) == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_run__leaves_nothing_when_it_is_ended_by_a_signal(number: signal.Signals) -> None:
    script = "setsid tail -f /dev/null >/dev/null 2>&1 & echo $! $LASTACK_LAB; exec tail -f /dev/null"
    with start(["lab", "run", "nat", "-q", "--", "sh", "-c", script]) as program:
        assert program.stdout is not None
        daemon, name = program.stdout.readline().split()
        folder = registry.home() / name
        assert folder.exists()
        if number == signal.SIGINT:  # from a keyboard it goes to the whole group
            os.killpg(program.pid, number)
        else:
            program.send_signal(number)
        program.wait(10)
        wait_until(lambda: not Path(f"/proc/{daemon}").exists(), "the end of a daemon")
        wait_until(lambda: not folder.exists(), "the removal of the lab's folder")
    assert program.returncode in (-signal.SIGKILL, 128 + signal.SIGTERM, 130)


def test_clean__removes_what_is_left_when_the_cleaner_was_killed_too() -> None:
    script = "echo $$ $PPID $LASTACK_LAB; exec tail -f /dev/null"
    with start(["lab", "run", "nat", "-q", "--", "sh", "-c", script]) as program:
        assert program.stdout is not None
        left, parent, name = program.stdout.readline().split()
        running = Path(f"/proc/{left}/cmdline")
        wait_until(lambda: running.read_bytes().startswith(b"tail"), "the shell to become tail")
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        (reaper,) = [pid for pid in children if b"reaper.py" in Path(f"/proc/{pid}/cmdline").read_bytes()]
        os.kill(int(reaper), signal.SIGKILL)
        program.kill()
        program.wait(10)
    try:
        assert (registry.home() / name).exists()
        assert Path(f"/proc/{left}").exists()
        assert f"would remove {name} and 1 processes" in lastack("lab", "clean", "--dry-run").stdout
        assert f"removed {name} and 1 processes" in lastack("lab", "clean").stdout
        assert not (registry.home() / name).exists()
        wait_until(lambda: not Path(f"/proc/{left}").exists(), "the end of what was left")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(left), signal.SIGKILL)


def test_run__exits_as_its_command_and_knows_the_ways_to_other_hosts() -> None:
    script = 'on-server ip -o -4 addr show eth0; echo "$LAB_SERVER $LASTACK_HOST"; exit 7'
    done = lastack("lab", "run", "direct", "--", "sh", "-c", script)
    assert done.returncode == 7
    assert "192.0.2.2/24" in done.stdout
    assert "192.0.2.2 client" in done.stdout
    assert "lastack lab enter direct-" in done.stderr


def test_run__captures_from_the_first_packet_to_the_last(tmp_path: Path) -> None:
    script = f"""on-server {sys.executable} -c '
import socket
listener = socket.create_server(("", 80))
print(flush=True)
listener.accept()[0].sendall(b"hello")' | (read go; cat < /dev/tcp/$LAB_SERVER/80)"""
    path = tmp_path / "lab.pcapng"
    done = lastack("lab", "run", "nat", "--capture", str(path), "--at", "client", "--at", "server",
                   "--", "bash", "-c", script)  # fmt: skip
    assert done.stdout == "hello", done.stderr
    sessions = lastack_package.track(path)
    assert list(sessions["opening"]) == ["established", "established"], "one on either side of the NAT"
    assert set(sessions["ending"]) == {"closed"}


def test_run__a_host_that_is_not_there_is_refused() -> None:
    done = lastack("lab", "run", "direct", "--on", "box", "--", "true")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, "lastack: topology direct has no box")


def test_enter_and_list__find_a_lab_that_runs() -> None:
    with Lab("router") as lab:
        listed = lastack("lab", "list", "--format", "json")
        assert f'"name": "{lab.name}"' in listed.stdout
        done = lastack("lab", "enter", lab.name, "box", "--", "sh", "-c", "ip -br link; echo $LASTACK_HOST")
        assert "inside" in done.stdout
        assert done.stdout.endswith("box\n")
        refused = lastack("lab", "enter", lab.name, "bog", "--", "true")
        assert refused.returncode == 2
        assert "has no host 'bog'; it has client, box, server" in refused.stderr


def test_lab__needs_no_root_where_users_may_have_namespaces() -> None:
    script = """
from lastack.lab import Lab, netns
netns.become_root_of_namespaces()
with Lab("nat") as lab, lab.server.socket() as listener, lab.client.socket() as client:
    listener.bind((lab.server.address(), 80))
    listener.listen()
    client.connect((lab.server.address(), 80))
    print(listener.accept()[1][0] == lab.box.address())
"""
    nobody = [
        "setpriv",
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        "sh",
        "-c",
        'exec "$@"',
        "sh",
    ]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(lastack_package.__file__).parents[1])}

    def as_nobody(python: str, code: str) -> subprocess.CompletedProcess[str]:
        command = [*nobody, python, "-c", code]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, cwd="/")

    # the interpreter of the tests may live where others may not read; the lab needs no more than the standard library
    pythons = [sys.executable, "/usr/bin/python3"]
    able = [python for python in pythons if as_nobody(python, "import lastack.lab").returncode == 0]
    if not able:
        pytest.skip("another user may not read this Python")
    done = as_nobody(able[0], script)
    if "user namespace" in done.stderr:
        pytest.skip("users may have no namespaces here")
    assert done.stdout.split()[-1:] == ["True"], done.stderr
