"""The emulated box between real kernels: what it forgets is gone, as its profile says, and nothing else is."""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from pathlib import Path

import pytest
from tests.system.emulator_lab import (
    CLIENT_MAC,
    SERVER_MAC,
    Emulated,
    connected,
    error_of,
    hears,
    policy,
    profile,
    stays,
    wires,
)
from tests.system.lab_tools import needs_lab

from lastack.lab import Lab, wait_until
from lastack.lab.packet import RST
from lastack.lab.sniffer import Sniffer
from lastack.wire import build

pytestmark = [pytest.mark.system, needs_lab]

RETRANSMITS = 2  #: place in struct tcp_info


def retransmissions(end: socket.socket) -> int:
    return end.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[RETRANSMITS]


@pytest.mark.parametrize("version", [4, 6])
def test_panos_legacy__a_half_closed_session_dies_silently_but_for_the_application_with_a_longer_timer(
    version: int,
) -> None:
    words = profile("panos_legacy", "tcp_wait=1s", apps=["22.tcp_wait=1h"])
    with (
        Lab("emulator") as lab,
        Emulated(lab, words) as box,
        contextlib.closing(Sniffer(lab.server, "eth0")) as sniffer,
        connected(lab, 80, version) as (web, web_server),
        connected(lab, 22, version) as (ssh, ssh_server),
    ):
        for client, server in ((web, web_server), (ssh, ssh_server)):
            client.shutdown(socket.SHUT_WR)
            assert server.recv(1) == b""
            server.sendall(b"early")
            assert client.recv(9) == b"early"
        gone = box.await_event("gone", why="expired")
        assert gone["timer"] == "tcp_wait"
        # absolute, from the first FIN on: what came meanwhile did not prolong it
        first_fin = box.await_event("phase", phase="fin1")["time_ns"]
        assert abs(gone["time_ns"] - first_fin - 1_000_000_000) < 5_000_000
        for server in (web_server, ssh_server):
            server.sendall(b"late")
        assert ssh.recv(9) == b"late"
        wait_until(lambda: retransmissions(web_server) > 0, "the server to send again")
        assert not hears(web, 0.01)
        assert error_of(web_server) == 0
        assert not any(segment.flags & RST for segment in sniffer.segments())
        assert {event["reason"] for event in box.of("dropped")} == {"no_entry"}


def test_f5_fastl4__both_ends_are_reset_at_expiry() -> None:
    with (
        Lab("emulator") as lab,
        Emulated(lab, profile("f5_fastl4", "idle=400ms")) as box,
        connected(lab, 80) as (client, server),
        connected(lab, 81, 6) as (client6, server6),
    ):
        client.sendall(b"x")
        assert server.recv(9) == b"x"
        for end in (client, server, client6, server6):
            assert hears(end, 3)
            with pytest.raises(ConnectionResetError):
                end.recv(9)
        assert box.engine.counts.resets == 4


def test_azure__expires_silently_unless_it_is_told_to_send_resets(tmp_path: Path) -> None:
    text = 'profile = "azure_load_balancer"\n'
    reset = policy(tmp_path, text + "[switches]\nenable_tcp_reset = true\n")
    for words, loud in ((profile("azure_load_balancer"), False), (reset, True)):
        with (
            Lab("emulator") as lab,
            Emulated(lab, words, speed=600) as box,  # 240 s in 0.4 s
            connected(lab, 80) as (client, server),
        ):
            box.await_event("gone", why="expired")
            assert hears(client) is loud
            assert hears(server) is loud


def test_aws_nat_gateway__resets_only_who_sends_after_expiry() -> None:
    with (
        Lab("emulator") as lab,
        Emulated(lab, profile("aws_nat_gateway", "idle=300ms")) as box,
        connected(lab, 80) as (client, server),
    ):
        box.await_event("gone", why="expired")
        assert not hears(client)
        client.sendall(b"late")
        wait_until(lambda: error_of(client) == errno.ECONNRESET, "the reset")
        assert not hears(server)


@pytest.mark.parametrize("answer", ["drop_new", "evict"])
def test_full_table__drops_the_new_or_evicts_the_closing(tmp_path: Path, answer: str) -> None:
    words = policy(tmp_path, f'profile = "panos_legacy"\ntable_size = 2\n[forks]\ntable_full = "{answer}"\n')
    with (
        Lab("emulator") as lab,
        Emulated(lab, words) as box,
        connected(lab, 80) as (one, one_server),
        connected(lab, 81) as (two, two_server),
        lab.server.socket() as listener,
        lab.client.socket() as three,
    ):
        two.shutdown(socket.SHUT_WR)
        assert two_server.recv(1) == b""
        listener.bind((lab.server.address(), 82))
        listener.listen()
        three.settimeout(0.3)
        if answer == "drop_new":
            with pytest.raises(TimeoutError):
                three.connect((lab.server.address(), 82))
            assert box.await_event("dropped")["reason"] == "full"
        else:
            three.connect((lab.server.address(), 82))
            assert box.await_event("gone")["why"] == "evicted"
            two_server.sendall(b"late")
            assert not hears(two)
        one_server.sendall(b"still there")
        assert one.recv(20) == b"still there"


def test_time_wait__a_syn_on_its_ports_begins_a_new_session() -> None:
    with Lab("emulator") as lab, Emulated(lab, profile("panos_legacy", "tcp_wait=700ms")) as box:
        with connected(lab, 80, source=40_000) as (client, server):
            server.close()  # it keeps TIME_WAIT, and takes a new SYN
            assert client.recv(1) == b""
        box.await_event("phase", phase="closed")
        with connected(lab, 80, source=40_000) as (client, server):
            assert box.await_event("gone")["why"] == "restarted"
            box.await_event("phase", 2, phase="established")
            # past the end of the timer of the first session
            made = box.await_event("made", 2)["time_ns"]
            wait_until(lambda: box.clock.now() > made + 900_000_000, "the old timer's end")
            client.sendall(b"alive")
            assert server.recv(9) == b"alive"
        assert not box.of("dropped")


@pytest.mark.parametrize("version", [4, 6])
def test_fragments__go_the_way_of_their_first_one(version: int) -> None:
    with (
        Lab("emulator") as lab,
        Emulated(lab, profile("panos_legacy")) as box,
        wires(lab) as (inside, outside),
    ):
        begins = fragments(build.tcp(1000, 80, flags=2, payload=bytes(1200)), version, 7)
        stray = fragments(build.tcp(1001, 80, flags=16, payload=bytes(1200)), version, 8)
        sent = [inside.send(one) for one in (begins[1], *begins, *stray)]
        # the first one's fate was not known when the first later fragment came
        assert outside.got(sent[2])
        assert [frame in outside.take() for frame in sent[1:]] == [True, True, False, False]
        assert outside.came.count(sent[0]) == 1
        counts = box.engine.counts
        wait_until(lambda: counts.fragments_dropped == 2, "the box to drop the last fragment")
        assert counts.fragments_passed == 1


def fragments(segment: build.Packet, version: int, ident: int) -> list[build.Packet]:
    """Return a segment of the client to the server's neighbour in two fragments."""
    if version == 4:
        return build.ipv4_fragments(build.ipv4("192.0.2.1", "192.0.2.77", segment, ipid=ident), 640)
    ends = ("2001:db8::1", "2001:db8::77")
    whole = build.ipv6(*ends, segment)  # for the checksum
    made = []
    for at, part in ((0, whole.data[40:680]), (640, whole.data[680:])):
        header = build.fragment_header(at, more=at == 0, ident=ident)
        packet = build.ipv6(
            *ends, build.Packet(segment.layer, b""), extensions=(header,), length=8 + len(part)
        )
        made.append(build.Packet(packet.layer, packet.data + part))
    return made


@pytest.mark.parametrize("version", [4, 6])
def test_icmp_errors__pass_when_they_are_about_a_session_of_the_box(version: int) -> None:
    server, client = {4: ("192.0.2.77", "192.0.2.1"), 6: ("2001:db8::77", "2001:db8::1")}[version]
    around = build.ipv4 if version == 4 else build.ipv6

    def error(port: int) -> build.Packet:
        quoted = around(client, server, build.syn(port, 80)).data
        kind, code = (3, 1) if version == 4 else (1, 3)
        return around(server, client, build.icmp_error(quoted, kind=kind, code=code, version=version))

    with Lab("emulator") as lab, Emulated(lab, profile("panos")) as box, wires(lab) as (inside, outside):
        inside.send(around(client, server, build.syn(1000, 80)))
        box.await_event("made")
        stranger, related = outside.send(error(1001)), outside.send(error(1000))
        assert inside.got(related)
        assert stranger not in inside.take()
        assert box.engine.counts.strangers == 1


def test_other_protocols__pass() -> None:
    with Lab("emulator") as lab, Emulated(lab, profile("panos")) as box, wires(lab) as (inside, outside):
        sent = inside.send(build.ipv4("192.0.2.1", "192.0.2.77", build.udp(1, 2, b"hello")))
        assert outside.got(sent)
        assert box.engine.counts.others > 0


@pytest.mark.parametrize("tag", ["8100e007", "88a80064", "88a8006481000005"])
def test_vlan__tagged_frames_are_judged_and_keep_their_tags(tag: str) -> None:
    macs = SERVER_MAC + CLIENT_MAC
    syn = build.ipv4("192.0.2.1", "192.0.2.77", build.syn(1000, 80)).data
    stray = build.ipv4("192.0.2.1", "192.0.2.77", build.tcp(1001, 80, flags=16)).data
    frames = [macs + bytes.fromhex(tag) + b"\x08\x00" + packet for packet in (stray, syn)]
    with (
        Lab("emulator") as lab,
        Emulated(lab, profile("panos_legacy")) as box,
        contextlib.closing(Sniffer(lab.server, "eth0")) as sniffer,
        lab.client.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw,
    ):
        raw.bind(("eth0", 3))
        for frame in frames:
            raw.send(frame)
        box.await_event("made")
        wait_until(lambda: any(frame.data[12:16].hex() == tag[:8] for frame in sniffer.drain()), "the frame")
        assert [frame.data for frame in sniffer.frames if frame.data[:12] == macs] == [frames[1]]
        assert box.of("dropped")[0]["reason"] == "no_entry"


def test_reset__an_unverified_one_ends_the_session_where_the_profile_believes_it() -> None:
    """A RST with any sequence number: the box forgets, the ends ignore it and are cut off."""
    with (
        Lab("emulator") as lab,
        Emulated(lab, profile("panos_legacy", "tcp_wait=300ms")) as box,
        connected(lab, 80) as (client, server),
        wires(lab) as (_, outside),
    ):
        port = client.getsockname()[1]
        wild = build.tcp(80, port, seq=12345, flags=4)
        outside.send(build.ipv4(lab.server.address(), lab.client.address(), wild))
        box.await_event("gone", why="expired", phase="rst")
        server.sendall(b"late")
        assert not hears(client)
        assert stays(lambda: error_of(client) == 0)


def test_timers__are_kept_to_20_ms() -> None:
    """Thirty half-closed sessions with waits around the timer: kept before, lost after, by times as measured."""
    with (
        Lab("emulator") as lab,
        Emulated(lab, profile("panos", "tcp_half_closed=800ms")),
        contextlib.ExitStack() as stack,
    ):
        pairs = [stack.enter_context(connected(lab, 8000 + place)) for place in range(30)]
        fins, sends = [], []
        for client, _ in pairs:
            before = time.monotonic()
            client.shutdown(socket.SHUT_WR)
            fins.append((before, time.monotonic()))
        # waits from 770 to 828 ms
        for place, (_, server) in enumerate(pairs):
            due = fins[place][0] + 0.77 + place * 0.002
            wait_until(lambda due=due: time.monotonic() >= due, "its turn", poll_s=0.0005)
            before = time.monotonic()
            server.sendall(b"x")
            sends.append((before, time.monotonic()))
        lived = [hears(client, 0.05) for client, _ in pairs]
        waits = [(sent[0] - fin[1], sent[1] - fin[0]) for sent, fin in zip(sends, fins, strict=True)]
        assert [wait for wait, alive in zip(waits, lived, strict=True) if alive and wait[0] > 0.82] == []
        assert [wait for wait, alive in zip(waits, lived, strict=True) if not alive and wait[1] < 0.78] == []
        assert any(lived)
        assert not all(lived)
