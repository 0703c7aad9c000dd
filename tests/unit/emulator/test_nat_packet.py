"""A rewritten packet is the packet that would have been built with the other end: every byte, checksums included."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastack.emulator.nat_packet import Place, edit, place_of, quoted, rewrite, rewrite_error
from lastack.wire import build

ADDRESSES = {
    4: st.ip_addresses(v=4).map(str),
    6: st.ip_addresses(v=6).map(str),
}
PORTS = st.integers(0, 65_535)


def packed(address: str) -> bytes:
    return ipaddress.ip_address(address).packed


def around(version: int, source: str, target: str, packet: build.Packet) -> bytes:
    return (build.ipv4 if version == 4 else build.ipv6)(source, target, packet).data


@pytest.mark.parametrize("of_source", [True, False])
@pytest.mark.parametrize("version", [4, 6])
@given(data=st.data(), payload=st.binary(max_size=99))
def test_rewrite__gives_the_packet_built_with_the_new_end(
    version: int, of_source: bool, data: st.DataObject, payload: bytes
) -> None:
    old, new, peer = (data.draw(ADDRESSES[version]) for _ in range(3))
    old_port, new_port, peer_port = (data.draw(PORTS) for _ in range(3))

    def made(end: str, port: int) -> bytes:
        ports, ends = (port, peer_port), (end, peer)
        if not of_source:
            ports, ends = ports[::-1], ends[::-1]
        return around(version, *ends, build.tcp(*ports, seq=7, ack=9, payload=payload))

    packet = bytearray(made(old, old_port))
    change = edit(packed(new), new_port.to_bytes(2, "big"), packed(old), old_port.to_bytes(2, "big"))
    rewrite(memoryview(packet), place(packet), change, of_source=of_source)
    assert same_but_for_zero(bytes(packet), made(new, new_port), version)


def same_but_for_zero(one: bytes, other: bytes, version: int) -> bool:
    """Return whether packets are the same; of a checksum, 0 and 0xFFFF are two forms of the same sum."""
    places = [36] if version == 4 else [56]
    places += [10] if version == 4 else []
    for at in places:
        if one[at : at + 2] != other[at : at + 2] and {one[at : at + 2], other[at : at + 2]} == {
            b"\0\0",
            b"\xff\xff",
        }:
            one = one[:at] + other[at : at + 2] + one[at + 2 :]
    return one == other


def place(packet: bytearray) -> Place:
    found = place_of(memoryview(packet))
    assert found is not None
    return found


@pytest.mark.parametrize("version", [4, 6])
@given(data=st.data())
def test_rewrite__of_a_partial_checksum_changes_the_addresses_in_it_alone(
    version: int, data: st.DataObject
) -> None:
    """As virtio-net wants it: the field holds the sum of the pseudo-header, not complemented, without the ports."""
    old, new, peer = (data.draw(ADDRESSES[version]) for _ in range(3))
    sums = []
    for end, port in ((old, 1000), (new, 2000)):
        packet = bytearray(around(version, end, peer, build.tcp(port, 80, payload=b"odd")))
        tcp = 20 if version == 4 else 40
        pseudo = packed(end) + packed(peer) + (len(packet) - tcp).to_bytes(4, "big") + (6).to_bytes(4, "big")
        packet[tcp + 16 : tcp + 18] = (build.checksum(pseudo) ^ 0xFFFF).to_bytes(2, "big")
        sums.append(packet)
    change = edit(packed(new), (2000).to_bytes(2, "big"), packed(old), (1000).to_bytes(2, "big"))
    rewrite(memoryview(sums[0]), place(sums[0]), change, of_source=True, partial=True)
    assert same_but_for_zero(bytes(sums[0]), bytes(sums[1]), version)


@pytest.mark.parametrize("outward", [True, False])
@pytest.mark.parametrize(("version", "inside", "outside", "peer", "router"), [
    (4, "10.0.0.2", "192.0.2.9", "203.0.113.5", "203.0.113.1"),
    (6, "fd00::2", "2001:db8::9", "2001:db8:5::5", "2001:db8:5::1"),
])  # fmt: skip
def test_rewrite_error__is_the_error_that_the_other_end_would_have_got(
    outward: bool, version: int, inside: str, outside: str, peer: str, router: str
) -> None:
    """From inside about a packet of the peer, and from a router outside about one of the hidden end."""
    kind, code = (3, 1) if version == 4 else (1, 0)

    def error(end: str, port: int) -> bytes:
        ends, ports = ((peer, end), (80, port)) if outward else ((end, peer), (port, 80))
        inner = around(version, *ends, build.tcp(*ports, payload=b"data"))[: 28 if version == 4 else 80]
        outer = (end, peer) if outward else (router, end)
        return around(version, *outer, build.icmp_error(inner, kind=kind, code=code, version=version))

    before, after = ((inside, 1000), (outside, 2000)) if outward else ((outside, 2000), (inside, 1000))
    packet = bytearray(error(*before))
    view = memoryview(packet)
    found = quoted(view, place(packet))
    assert found is not None
    change = edit(
        packed(after[0]), after[1].to_bytes(2, "big"), packed(before[0]), before[1].to_bytes(2, "big")
    )
    rewrite_error(view, place(packet), *found, change, outward=outward)
    got, wanted = bytes(packet), error(*after)
    inner_checksums = range(72, 84) if version == 6 else ()
    assert [
        at for at, (a, b) in enumerate(zip(got, wanted, strict=True)) if a != b and at not in inner_checksums
    ] == []


@given(st.binary(max_size=120))
def test_place__of_anything_is_inside_the_packet_or_none(data: bytes) -> None:
    found = place_of(memoryview(data))
    if found is not None:
        assert found.source + 2 * found.size <= len(data)
        assert found.payload <= len(data)
        quoted(memoryview(data), found)


def test_place__skips_extension_headers_and_knows_later_fragments() -> None:
    segment = build.tcp(1, 2)
    ends = ("fd00::1", "fd00::2")
    options = (0, bytes([0]) + bytes(6))
    first = build.ipv6(*ends, segment, extensions=(options, build.fragment_header(0, more=True, ident=5)))
    later = build.ipv6(*ends, segment, extensions=(build.fragment_header(800, more=False, ident=5),))
    one, two = place_of(memoryview(first.data)), place_of(memoryview(later.data))
    assert one is not None
    assert two is not None
    assert (one.protocol, one.payload, one.first) == (6, 56, True)
    assert (two.first, two.fragment) == (False, one.fragment)
