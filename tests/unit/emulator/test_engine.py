"""The engine without sockets: frames and times in; decisions, RSTs and events out."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from lastack.app.boxes import BoxWords, make_box
from lastack.emulator.engine import Engine
from lastack.lab.packet import ACK, FIN, RST, SYN, segment_of
from lastack.wire import build

S = 1_000_000_000
CLIENT, SERVER = "10.0.0.1", "10.0.0.2"
MACS = {CLIENT: bytes.fromhex("020000000001"), SERVER: bytes.fromhex("020000000002")}


class Box:
    """An engine with a clock that tests set."""

    def __init__(self, name: str, *sets: str, apps: tuple[str, ...] = ()) -> None:
        self.events: list[dict[str, Any]] = []
        box, _, _ = make_box(BoxWords(profile=name, sets=sets, apps=apps, config="none"))
        self.engine = Engine(box, logged=self.events.append)
        self.engine.machine.begin(0)
        self._space = ctypes.create_string_buffer(2000)
        self._view = memoryview(self._space).cast("B")

    def offer(self, at_s: float, source: str, flags: int, seq: int = 0, ack: int = 0, port: int = 80) -> bool:
        """Offer a segment between port 1000 of the client and a port of the server."""
        target = SERVER if source == CLIENT else CLIENT
        ports = (1000, port) if source == CLIENT else (port, 1000)
        packet = build.ipv4(source, target, build.tcp(*ports, seq=seq, ack=ack, flags=flags))
        frame = MACS[target] + MACS[source] + b"\x08\x00" + packet.data
        self._view[: len(frame)] = frame
        address = ctypes.addressof(self._space)
        return self.engine.offer(self._view[: len(frame)], address, source == CLIENT, int(at_s * S))

    def open(self, port: int = 80) -> None:
        assert self.offer(0, CLIENT, SYN, 100, port=port)
        assert self.offer(0, SERVER, SYN | ACK, 500, 101, port=port)
        assert self.offer(0, CLIENT, ACK, 101, 501, port=port)

    def advance(self, at_s: float) -> list[tuple[bool, bytes, Any]]:
        """Return the frames that the box sends by a time: towards the inside, link header, segment."""
        self.engine.advance(int(at_s * S))
        out, self.engine.out = self.engine.out, []
        return [(one.inside, one.frame[:14], segment_of(one.frame)) for one in out]


def test_expiry_resets__look_as_if_the_other_end_had_sent_them() -> None:
    box = Box("f5_fastl4", "idle=10s")
    box.open()
    box.offer(1, CLIENT, ACK, 101, 501)
    assert box.advance(10.9) == []
    to_client, to_server = box.advance(11.1)
    assert to_client[:2] == (True, MACS[CLIENT] + MACS[SERVER] + b"\x08\x00")
    assert to_server[:2] == (False, MACS[SERVER] + MACS[CLIENT] + b"\x08\x00")
    for (_, _, reset), source, seq in ((to_client, SERVER, 501), (to_server, CLIENT, 101)):
        assert (reset.src, reset.flags & RST) == (source, RST)
        assert reset.seq == seq, "what the receiver expects, or it would not believe it (RFC 5961)"


def test_answer__to_a_segment_without_entry_is_the_rst_of_rfc9293() -> None:
    box = Box("f5_fastl4")
    assert not box.offer(0, CLIENT, ACK, 700, 900)
    assert not box.offer(0, CLIENT, FIN, 700, 0)
    with_ack, without = (segment_of(one.frame) for one in box.engine.out)
    assert with_ack is not None
    assert without is not None
    assert (with_ack.seq, with_ack.flags) == (900, RST)
    assert (without.seq, without.ack, without.flags) == (0, 701, RST | ACK)


def test_events__of_a_restarted_session_come_in_order() -> None:
    box = Box("panos_legacy", "tcp_wait=30s")
    box.open()
    box.offer(1, CLIENT, FIN | ACK, 101, 501)
    box.offer(1, SERVER, FIN | ACK, 501, 102)
    box.offer(1, CLIENT, ACK, 102, 502)
    box.offer(2, CLIENT, SYN, 9000)
    kinds = [(event["event"], event.get("why")) for event in box.events]
    assert kinds[-2:] == [("gone", "restarted"), ("made", None)]
    assert box.offer(2.1, SERVER, SYN | ACK, 7000, 9001)
    assert box.events[-1]["phase"] == "syn_recv"


def test_replace__gives_running_timers_their_new_length() -> None:
    box = Box("panos", "half_closed=120s")
    box.open()
    box.offer(0, CLIENT, FIN | ACK, 101, 501)
    box.offer(0, SERVER, ACK, 501, 102)
    shorter, _, _ = make_box(BoxWords(profile="panos", sets=("half_closed=5s",), config="none"))
    box.engine.replace(shorter)
    box.advance(5.1)
    assert box.events[-1]["why"] == "expired"
    assert box.events[-1]["lived_ns"] == 5 * S


def test_replace__by_another_kind_of_box_is_refused() -> None:
    box = Box("panos")
    other, _, _ = make_box(BoxWords(profile="linux_conntrack", config="none"))
    with pytest.raises(ValueError, match="the same profile"):
        box.engine.replace(other)


def test_override__is_chosen_by_the_servers_port() -> None:
    box = Box("panos", "half_closed=5s", apps=("ssh.half_closed=1h",))
    for port in (80, 22):
        box.open(port)
        box.offer(0, CLIENT, FIN | ACK, 101, 501, port)
    box.advance(6)
    assert [event["to"] for event in box.events if event["event"] == "gone"] == [f"{SERVER} 80"]


def test_on_ended__hears_of_entries_after_what_was_sent_about_them() -> None:
    box = Box("f5_fastl4", "idle=10s")
    told: list[int] = []
    box.engine.on_ended = lambda lives: told.append(len(lives))
    box.open()
    box.engine.advance(11 * S)
    assert (len(box.engine.out), told) == (2, [])
    box.engine.forget_ended()
    assert told == [1]
