"""A NAT maps as RFC 5382 wants it, gives ports back when sessions end, and lets in what was asked for."""

from __future__ import annotations

import ipaddress
from typing import Any

import numpy as np

from lastack.emulator.nat import Inbound, Nat, NatOptions, mapping_rows
from lastack.emulator.nat_ports import Ports
from lastack.kernels.expiry_layout import LIFE
from lastack.model.address import parse_address
from lastack.wire import build

OUTSIDE, PEER, OTHER = "192.0.2.9", "203.0.113.5", "203.0.113.6"
EXPIRED, RESTARTED = 1, 2


def nat(**options: Any) -> Nat:
    return Nat(NatOptions((ipaddress.ip_address(OUTSIDE).packed,), **options))


def leave(
    box: Nat, source: tuple[str, int], target: tuple[str, int], entry: bool = True
) -> tuple[str, int] | None:
    """Return the outside end of a packet from inside, None if it cannot leave."""
    packet = bytearray(build.ipv4(source[0], target[0], build.syn(source[1], target[1])).data)
    view = memoryview(packet)
    if not box.may_leave(view) or not box.leave(view, partial=False, has_entry=entry):
        return None
    return str(ipaddress.ip_address(bytes(packet[12:16]))), int.from_bytes(packet[20:22], "big")


def enter(
    box: Nat, source: tuple[str, int], target: tuple[str, int], flags: int = 16
) -> tuple[Inbound, str, int]:
    """Return what a packet from outside is, and its receiver afterwards."""
    packet = bytearray(build.ipv4(source[0], target[0], build.tcp(source[1], target[1], flags=flags)).data)
    what = box.enter(memoryview(packet), partial=False)
    return what, str(ipaddress.ip_address(bytes(packet[16:20]))), int.from_bytes(packet[22:24], "big")


def life(one: tuple[str, int], other: tuple[str, int], why: int = EXPIRED) -> Any:
    ends = sorted([(parse_address(one[0]), one[1]), (parse_address(other[0]), other[1])])
    record = np.zeros(1, LIFE)
    for half, (address, _) in zip(("lo", "hi"), ends, strict=True):
        record[f"{half}0"] = int.from_bytes(address[:8], "big")
        record[f"{half}1"] = int.from_bytes(address[8:], "big")
    record["ports"] = ends[0][1] << 16 | ends[1][1]
    record["why"] = why
    return record


def test_mapping__is_one_for_an_inside_end_and_keeps_its_port() -> None:
    box = nat()
    assert leave(box, ("10.0.0.1", 40_000), (PEER, 80)) == (OUTSIDE, 40_000)
    assert leave(box, ("10.0.0.1", 40_000), (OTHER, 443)) == (OUTSIDE, 40_000)
    taken = leave(box, ("10.0.0.2", 40_000), (PEER, 80))
    assert taken is not None
    assert taken != (OUTSIDE, 40_000)
    assert enter(box, (PEER, 80), taken) == (Inbound.translated, "10.0.0.2", 40_000)
    assert [row["outside"] for row in mapping_rows(box)].count(f"{OUTSIDE} 40000") == 2


def test_mapping__lives_as_long_as_one_session_of_it() -> None:
    box = nat()
    inside = ("10.0.0.1", 40_000)
    for peer in (PEER, OTHER):
        leave(box, inside, (peer, 80))
    box.forget(life(inside, (PEER, 80)))
    assert box.mappings == 1
    assert enter(box, (PEER, 80), (OUTSIDE, 40_000))[0] is Inbound.unknown
    assert enter(box, (OTHER, 80), (OUTSIDE, 40_000))[0] is Inbound.translated
    box.forget(life((OTHER, 80), inside))
    assert box.mappings == 0
    assert leave(box, ("10.0.0.7", 40_000), (PEER, 80)) == (OUTSIDE, 40_000)


def test_mapping__stays_when_a_syn_restarts_the_session() -> None:
    box = nat()
    leave(box, ("10.0.0.1", 40_000), (PEER, 80))
    box.forget(life(("10.0.0.1", 40_000), (PEER, 80), RESTARTED))
    assert enter(box, (PEER, 80), (OUTSIDE, 40_000))[0] is Inbound.translated


def test_mapping__is_not_made_for_what_has_no_entry() -> None:
    box = nat()
    assert leave(box, ("10.0.0.1", 40_000), (PEER, 80), entry=False) is None
    assert box.mappings == 0


def test_ports__that_are_all_taken_refuse_new_sessions_only() -> None:
    box = nat(low=50_000, high=50_000)
    assert leave(box, ("10.0.0.1", 1), (PEER, 80)) == (OUTSIDE, 50_000)
    assert leave(box, ("10.0.0.2", 1), (PEER, 80)) is None
    assert leave(box, ("10.0.0.1", 1), (OTHER, 80)) == (OUTSIDE, 50_000)
    assert box.counts.no_port == 1


def test_filter__lets_strangers_in_only_when_it_is_open() -> None:
    for is_open in (False, True):
        box = nat(open_filter=is_open)
        leave(box, ("10.0.0.1", 40_000), (PEER, 80))
        what, address, port = enter(box, (OTHER, 999), (OUTSIDE, 40_000), flags=2)
        assert what is (Inbound.translated if is_open else Inbound.unknown)
        if is_open:
            assert (address, port) == ("10.0.0.1", 40_000)
            # it is a session only if the box made an entry for it
            box.entered(has_entry=False)
            assert enter(box, (OTHER, 999), (OUTSIDE, 40_000))[0] is Inbound.unknown
            enter(box, (OTHER, 999), (OUTSIDE, 40_000), flags=2)
            box.entered(has_entry=True)
            assert enter(box, (OTHER, 999), (OUTSIDE, 40_000))[0] is Inbound.translated


def test_enter__leaves_what_is_for_its_host_alone_and_hides_the_inside() -> None:
    box = nat()
    assert enter(box, (PEER, 999), (OUTSIDE, 22), flags=2)[0] is Inbound.own
    assert enter(box, (PEER, 999), ("10.0.0.1", 22), flags=2)[0] is Inbound.unknown
    udp = bytearray(build.ipv4(PEER, OUTSIDE, build.udp(53, 40_000, b"")).data)
    assert box.enter(memoryview(udp), partial=False) is Inbound.own
    six = bytearray(build.ipv6("fd00::1", "fd00::2", build.tcp(1, 2)).data)
    assert box.enter(memoryview(six), partial=False) is Inbound.translated, "not a kind that is hidden"


def test_leave__keeps_what_cannot_be_translated_inside() -> None:
    box = nat()
    for made in (build.udp(1, 2, b""), build.icmp_error(bytes(28), kind=8, code=0)):
        packet = bytearray(build.ipv4("10.0.0.1", PEER, made).data)
        assert not box.may_leave(memoryview(packet))
    assert box.counts.untranslated == 2


def test_ports__hand_out_the_one_that_was_free_longest() -> None:
    address = bytes(4)
    ports = Ports((address,), 100, 102)
    first = ports.take(4, 5)
    assert first == (address, b"\x00\x64")
    ports.give_back(first)
    assert [ports.take(4, 5) for _ in range(4)] == [(address, bytes([0, n])) for n in (101, 102, 100)] + [
        None
    ]
    assert not ports.has_free(4)
    assert not ports.has_free(16)
