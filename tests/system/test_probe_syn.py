"""Half-open probes against real kernels: four answers told apart, nothing left behind, thousands at once."""

from __future__ import annotations

import json
import socket
import subprocess
import sys

import pytest

from lastack.lab.netns import missing
from lastack.lab.topology import Lab

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(bool(missing()), reason=missing() or "labs can be built"),
]
COMMAND = [sys.executable, "-m", "lastack.cli.main", "probe", "syn", "--format", "jsonl", "-W", "300ms"]
RULES = """chain input { type filter hook input priority 0;
  tcp dport 81 drop
  meta nfproto ipv4 tcp dport 82 reject with icmp type admin-prohibited
  meta nfproto ipv6 tcp dport 82 reject with icmpv6 type admin-prohibited
}"""


def ask(lab: Lab, *words: str) -> list[dict[str, object]]:
    done = lab.client.run([*COMMAND, *words], check=False)
    assert done.returncode in (0, 1), done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("method", ["syn", "connect"])
@pytest.mark.parametrize("version", [4, 6])
def test_four_answers__are_told_apart(method: str, version: int) -> None:
    with Lab("direct") as lab:
        lab.server.nft(RULES)
        with lab.server.socket(socket.AF_INET6 if version == 6 else socket.AF_INET) as listener:
            listener.bind(("", 80))
            listener.listen(16)
            address = lab.server.address(version)
            host = f"[{address}]" if version == 6 else address
            rows = ask(lab, "-c", "1", "--method", method, *(f"{host}:{port}" for port in (80, 81, 82, 83)))
        by_port = {row["port"]: row for row in rows}
        assert {port: row["result"] for port, row in by_port.items()} == {
            80: "up",
            81: "filtered",
            82: "unreachable",
            83: "refused",
        }
        assert (by_port[82]["icmp_type"], by_port[82]["icmp_code"]) == ((3, 13) if version == 4 else (1, 1))
        assert by_port[82]["reporter"] == address


def test_eight_thousand__are_up_and_none_stays_half_open() -> None:
    with Lab("direct") as lab:
        lab.server.ip("route add local 10.90.0.0/19 dev lo")
        lab.client.ip(f"route add 10.90.0.0/19 via {lab.server.address()}")
        with lab.server.socket() as listener:
            listener.bind(("", 80))
            listener.listen(4096)
            rows = ask(lab, "10.90.0.0/19:80", "--method", "syn", "-W", "2s")
            assert len(rows) == 8190
            assert {row["result"] for row in rows} == {"up"}
            assert not lab.server.run(["ss", "-Htan", "state", "syn-recv"]).stdout
            queue = lab.server.run(["ss", "-Htln"]).stdout.split()
            assert queue[1] == "0", "a connection reached the application"


def test_a_network__four_answers_are_told_apart_in_columns_too() -> None:
    with Lab("direct") as lab:
        lab.server.ip("route add local 10.90.0.0/22 dev lo")
        lab.client.ip(
            f"route add 10.90.0.0/22 via {lab.server.address()}", "route add unreachable 10.90.2.7/32"
        )
        lab.server.nft(
            """chain input { type filter hook input priority 0;
              ip daddr 10.90.0.0/24 tcp dport 80 drop
              ip daddr 10.90.1.1 tcp dport 80 reject with icmp type admin-prohibited
              ip daddr 10.90.1.0/24 tcp dport 80 reject with tcp reset
            }"""
        )
        with lab.server.socket() as listener:
            listener.bind(("", 80))
            listener.listen(16)
            rows = ask(lab, "10.90.0.0/22:80", "--method", "syn", "-W", "1500ms")
    assert len(rows) == len({row["address"] for row in rows}) == 1022
    by_address = {str(row["address"]): row for row in rows}
    unusual = {
        "10.90.1.1": ("unreachable", "administratively prohibited", 3, 13),
        "10.90.2.7": ("error", "No route to host", None, None),
    }
    for address, row in by_address.items():
        if address in unusual:
            assert (row["result"], row["detail"], row["icmp_type"], row["icmp_code"]) == unusual[address]
        elif address.startswith("10.90.0."):
            assert (row["result"], row["attempts"]) == ("filtered", 2)
        else:
            assert row["result"] == ("refused" if address.startswith("10.90.1.") else "up")
            assert 0 < int(str(row["rtt_ns"])) < 10**9


@pytest.mark.parametrize("cookies", [0, 1])
def test_a_full_accept_queue__is_filtered_with_cookies_or_without(cookies: int) -> None:
    with Lab("direct") as lab, lab.server.socket() as listener:
        lab.server.sysctl("net/ipv4/tcp_syncookies", cookies)
        listener.bind(("", 80))
        listener.listen(1)
        held = [lab.client.socket() for _ in range(3)]
        try:
            for sock in held:  # the application takes none: two fill the queue, the third finds it full
                sock.setblocking(False)
                sock.connect_ex((lab.server.address(), 80))
            rows = ask(lab, "-c", "2", "-i", "100ms", "--method", "syn", f"{lab.server.address()}:80")
            assert [row["result"] for row in rows] == ["filtered"] * 2
            assert len(lab.server.run(["ss", "-Htan", "state", "established"]).stdout.splitlines()) == 2
        finally:
            for sock in held:
                sock.close()


@pytest.mark.parametrize("method", ["syn", "connect"])
def test_syn_cookies__are_up(method: str) -> None:
    with Lab("direct") as lab, lab.server.socket() as listener:
        lab.server.sysctl("net/ipv4/tcp_syncookies", 2)  # every SYN is answered by a cookie, as under a flood
        listener.bind(("", 80))
        listener.listen(16)
        rows = ask(lab, "-c", "2", "-i", "50ms", "--method", method, f"{lab.server.address()}:80")
        assert [row["result"] for row in rows] == ["up"] * 2
        assert not lab.server.run(["ss", "-Htan", "state", "syn-recv"]).stdout


def test_the_raw_port_of_a_responder__answers_nobody_who_did_not_ask() -> None:
    with Lab("direct") as lab:
        command = [sys.executable, "-m", "lastack.cli.main", "probe", "responder", "-q"]
        responder = lab.server.popen(command, stdout=subprocess.PIPE)
        assert responder.stdout is not None
        port = int(responder.stdout.readline())
        address = lab.server.address()
        rows = ask(lab, "-c", "1", "--method", "syn", f"{address}:{port}", f"{address}:{port + 1}")
        assert {row["port"]: row["result"] for row in rows} == {port: "up", port + 1: "filtered"}


def test_monitor__asks_each_target_from_its_own_source() -> None:
    with Lab("direct") as lab, lab.server.socket() as listener:
        here, there = lab.client.address(), lab.server.address()
        other = here.rpartition(".")[0] + ".77"
        lab.client.ip(f"addr add {other}/24 dev eth0")
        lab.server.nft(
            f"chain input {{ type filter hook input priority 0; ip saddr {here} tcp dport 80 drop; }}"
        )
        listener.bind(("", 80))
        listener.listen(16)
        config = lab.folder / "monitor.toml"
        usual = f'[[target]]\nhost = "{there}"\nport = 80\ninterval = "100ms"\ntimeout = "200ms"\ndown_after = 1\n'
        config.write_text(f'{usual}name = "usual"\n{usual}name = "other"\nsource = "{other}"\n')
        monitor = lab.client.popen(
            [sys.executable, "-m", "lastack.cli.main", "monitor", "-q", str(config)], stdout=subprocess.PIPE
        )
        assert monitor.stdout is not None
        first = [json.loads(monitor.stdout.readline()) for _ in range(2)]
        assert {row["target"]: row["after"] for row in first} == {"usual": "down", "other": "up"}
