"""The routed box and its NAT between real kernels: offloads on, both IP versions, errors, fragments, expiry."""

from __future__ import annotations

import contextlib
import errno
import socket
import threading
from collections.abc import Iterator

import pytest
from tests.system.emulator_lab import FAMILIES, Emulated, connected, error_of, exactly, hears, profile
from tests.system.lab_tools import needs_lab

from lastack.emulator.nat import Nat, NatOptions
from lastack.lab import Lab, wait_until
from lastack.lab.sniffer import Sniffer
from lastack.wire import build

pytestmark = [pytest.mark.system, needs_lab]


def nat(lab: Lab, **options: object) -> Nat:
    addresses = tuple(
        socket.inet_pton(family, lab.box.address(version))
        for version, family in ((4, socket.AF_INET), (6, socket.AF_INET6))
    )
    return Nat(NatOptions(addresses, **options))  # type: ignore[arg-type]


@contextlib.contextmanager
def natted(name: str = "rfc5382", *sets: str, **options: object) -> Iterator[tuple[Lab, Emulated]]:
    with (
        Lab("emulator", routed=True) as lab,
        Emulated(lab, profile(name, *sets), nat=nat(lab, **options)) as box,
    ):
        yield lab, box


@pytest.mark.parametrize("version", [4, 6])
def test_nat__hides_the_client_and_keeps_every_byte_at_full_segments(version: int) -> None:
    data = bytes(range(256)) * 20_000
    with natted() as (lab, box), connected(lab, 80, version) as (client, server):
        assert server.getpeername()[0] == lab.box.address(version)
        assert server.getpeername()[1] == client.getsockname()[1], "a free port is kept"
        for source, target in ((client, server), (server, client)):
            thread = threading.Thread(target=source.sendall, args=(data,))
            thread.start()
            assert exactly(target, len(data)) == data
            thread.join()
        # no checksum was found wrong by the ends' kernels
        for host in (lab.client, lab.server):
            lines = host.read("/proc/net/snmp").splitlines()
            names, values = (line.split()[1:] for line in lines if line.startswith("Tcp:"))
            assert dict(zip(names, values, strict=True))["InCsumErrors"] == "0"
        assert box.engine.counts.cut == 0


def test_nat__without_offloads_updates_whole_checksums() -> None:
    if not lab_has_ethtool():
        pytest.skip("needs ethtool (apt-get install ethtool)")
    with natted() as (lab, _):
        for host in (lab.client, lab.server):
            host.run(["ethtool", "-K", "eth0", "tx", "off", "tso", "off", "gso", "off"])
        for version in (4, 6):
            with connected(lab, 80 + version, version) as (client, server):
                client.sendall(b"odd" * 1001)
                server.sendall(b"number" * 1001)
                assert exactly(client, 9) == b"numbernum"
                assert exactly(server, 9) == b"oddoddodd"


def lab_has_ethtool() -> bool:
    import shutil

    return shutil.which("ethtool") is not None


def test_broken_nat__a_half_closed_session_dies_and_rfc5382_keeps_it() -> None:
    for name, sets, lives in (("broken_nat", ("after_fin=500ms",), False), ("rfc5382", (), True)):
        with natted(name, *sets) as (lab, box), connected(lab, 80) as (client, server):
            client.shutdown(socket.SHUT_WR)
            assert server.recv(1) == b""
            server.sendall(b"early")
            assert client.recv(9) == b"early"
            if not lives:
                box.await_event("gone", why="expired")
                wait_until(lambda box=box: box.nat.mappings == 0, "the port to be free")
            server.sendall(b"late")
            assert hears(client) is lives
            assert error_of(server) == 0


def test_nat__resets_at_expiry_reach_both_ends_under_the_addresses_they_know() -> None:
    with natted("f5_fastl4", "idle=300ms") as (_, box), contextlib.ExitStack() as stack:
        lab = _
        for port, version in ((80, 4), (81, 6)):
            pair = stack.enter_context(connected(lab, port, version))
            for end in pair:
                assert hears(end, 3)
                assert error_of(end) == errno.ECONNRESET
        wait_until(lambda: box.nat.mappings == 0, "the ports to be free")


def test_nat__a_port_belongs_to_one_inside_end_whoever_it_talks_to() -> None:
    for dependent in (False, True):
        with (
            natted(dependent=dependent) as (lab, _),
            connected(lab, 80, source=40_000) as (_, one),
            connected(lab, 81, source=40_000) as (_, two),
        ):
            assert (one.getpeername() != two.getpeername()) is dependent


def test_nat__nobody_outside_begins_a_session_unless_its_filter_is_open() -> None:
    for is_open in (False, True):
        with (
            natted(open_filter=is_open) as (lab, box),
            connected(lab, 80, source=40_000),
            lab.server.socket() as caller,
        ):
            # a listener on the port that the mapping leads to
            listener = lab.client.socket()
            with listener:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((lab.client.address(), 40_000))
                listener.listen()
                caller.settimeout(0.3 if not is_open else 3)
                if is_open:
                    caller.connect((lab.box.address(), 40_000))
                    accepted, peer = listener.accept()
                    with accepted:
                        assert peer[0] == lab.server.address()
                        accepted.sendall(b"hello")
                        assert caller.recv(9) == b"hello"
                else:
                    with pytest.raises(TimeoutError):
                        caller.connect((lab.box.address(), 40_000))
                    assert box.nat.counts.unsolicited > 0


def test_nat__without_a_free_port_new_sessions_fail_and_old_ones_live() -> None:
    with natted(low=50_000, high=50_001) as (lab, box), contextlib.ExitStack() as stack:
        pairs = [stack.enter_context(connected(lab, port)) for port in (80, 81)]
        assert {server.getpeername()[1] for _, server in pairs} == {50_000, 50_001}
        third = stack.enter_context(lab.client.socket())
        third.settimeout(0.3)
        with pytest.raises(TimeoutError):
            third.connect((lab.server.address(), 80))
        assert box.nat.counts.no_port > 0
        assert box.engine.machine.live == 2
        pairs[0][0].sendall(b"alive")
        assert pairs[0][1].recv(9) == b"alive"


@pytest.mark.parametrize("version", [4, 6])
def test_nat__errors_about_a_session_find_the_end_behind_it(version: int) -> None:
    """An ICMP error from outside ends the connection attempt of the client: EHOSTUNREACH and not a timeout."""
    kind = "icmp type host-unreachable" if version == 4 else "icmpv6 type addr-unreachable"
    with (
        natted() as (lab, box),
        lab.client.socket(socket.AF_INET if version == 4 else socket.AF_INET6) as client,
    ):
        lab.server.nft(
            f"chain input {{ type filter hook input priority 0; tcp dport 80 reject with {kind}; }}",
            "refusing",
        )
        client.settimeout(4)
        with pytest.raises(OSError) as caught:  # noqa: PT011  (the number is asked below)
            client.connect((lab.server.address(version), 80))
        assert caught.value.errno == errno.EHOSTUNREACH
        assert box.nat.counts.translated_errors > 0
        assert box.engine.counts.strangers == 0


@pytest.mark.parametrize("version", [4, 6])
def test_nat__fragments_are_translated_like_their_first_one(version: int) -> None:
    """The client's kernel makes the fragments, the server's puts them together and answers the segment in them."""
    with natted() as (lab, box), contextlib.closing(Sniffer(lab.server, "eth0")) as sniffer:
        with connected(lab, 80, version, source=40_000) as (client, server):
            client.sendall(b"before")
            assert server.recv(9) == b"before"
            segment = next(s for s in sniffer.segments()[::-1] if s.dport == 80 and s.payload)
            payload = bytes(range(200)) * 6
            made = build.tcp(
                40_000, 80, seq=segment.seq + segment.payload, ack=segment.ack, flags=24, window=segment.window,
                payload=payload,
            )  # fmt: skip
            ends = lab.client.address(version), lab.server.address(version)
            whole = build.ipv4(*ends, made, ipid=9) if version == 4 else build.ipv6(*ends, made)
            send_fragments(lab, whole, version)
            assert exactly(server, len(payload)) == payload
        assert box.engine.counts.fragments_passed == 1


def send_fragments(lab: Lab, whole: build.Packet, version: int) -> None:
    if version == 4:
        parts = build.ipv4_fragments(whole, 640)
    else:
        parts = []
        ends = lab.client.address(6), lab.server.address(6)
        for at, data in ((0, whole.data[40:680]), (640, whole.data[680:])):
            header = build.fragment_header(at, more=at == 0, ident=9)
            nothing = build.Packet(build.layers.TCP, b"")
            empty = build.ipv6(*ends, nothing, extensions=(header,), length=8 + len(data))
            parts.append(build.Packet(empty.layer, empty.data + data))
    with lab.client.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind(("eth0", 3))
        kind = b"\x08\x00" if version == 4 else b"\x86\xdd"
        for part in parts:
            raw.send(bytes.fromhex("020000000011020000000001") + kind + part.data)


def test_tun__without_a_nat_routes_with_addresses_as_they_are() -> None:
    words = profile("panos_legacy", "tcp_wait=500ms")
    with Lab("emulator", routed=True) as lab, Emulated(lab, words, tun=True) as box:
        for version in (4, 6):
            with connected(lab, 80 + version, version) as (client, server):
                assert server.getpeername()[0] == lab.client.address(version)
                client.sendall(b"x" * 100_000)
                assert exactly(server, 100_000) == b"x" * 100_000
                client.shutdown(socket.SHUT_WR)
                gone = len(box.of("gone"))
                wait_until(lambda gone=gone: len(box.of("gone")) > gone, "expiry")
                server.sendall(b"late")
                assert not hears(client)


def test_tun__leaves_routes_and_switches_as_they_were() -> None:
    keys = (
        "ipv4/ip_local_port_range", "ipv4/ip_early_demux", "ipv4/conf/inside/forwarding",
        "ipv4/conf/all/rp_filter", "ipv6/conf/all/forwarding",
    )  # fmt: skip
    commands = [
        ["ip", flag, *what] for flag in ("-4", "-6") for what in (["rule"], ["route", "show", "table", "all"])
    ]

    def state() -> list[str]:
        switches = [lab.box.read(f"/proc/sys/net/{key}") for key in keys]
        return switches + [lab.box.run(each).stdout for each in (*commands, ["ip", "-br", "link"])]

    with Lab("emulator", routed=True) as lab:
        before = state()
        with Emulated(lab, profile("rfc5382"), nat=nat(lab)), connected(lab, 80):
            assert state() != before
        assert state() == before


@pytest.mark.parametrize("version", [4, 6])
def test_nat__its_host_can_still_be_reached_and_reach_others(version: int) -> None:
    """The NAT hides the inside behind an address of its own host, whose sockets use it too."""
    with natted() as (lab, _):
        for here, there in ((lab.box, lab.server), (lab.server, lab.box)):
            family = FAMILIES[version]
            with here.socket(family) as listener, there.socket(family) as caller:
                for each in (listener, caller):
                    each.settimeout(3)
                listener.bind((here.address(version), 22))
                listener.listen()
                caller.connect((here.address(version), 22))
                accepted, _address = listener.accept()
                with accepted:
                    caller.sendall(b"hello")
                    accepted.settimeout(3)
                    assert exactly(accepted, 5) == b"hello"
