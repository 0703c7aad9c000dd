"""What the decoder says about frames whose answer is known by hand; the kernel is held to the same answers."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from tests.unit.wire.frames import A4, A6, B4, B6, PAYLOAD, frame_of_first_fragment
from tests.unit.wire.guarded import GuardedDecoder

from lastack.model.address import parse_address
from lastack.model.batch import NO_WSCALE
from lastack.model.enums import Drop, Encap
from lastack.wire import layers
from lastack.wire.build import (
    Packet,
    fragment_header,
    hop_by_hop_jumbo,
    icmp_error,
    ipv4,
    ipv4_fragments,
    ipv6,
    syn,
    tcp,
    udp,
)
from lastack.wire.decode import Decoded, decode
from lastack.wire.tcp import Segment
from lastack.wire.wrap import ethernet, frame, gre, ipip, pppoe, qinq, vlan, vxlan

KERNEL = GuardedDecoder()
DATA = tcp(40000, 443, seq=7, ack=9, flags=0x18, window=512, payload=PAYLOAD)
PACKET = ipv4(A4, B4, DATA, ttl=61, ipid=4711)
SEGMENT = Segment(
    parse_address(A4), parse_address(B4), 40000, 443, 7, 9, 0x18, 512, 12, NO_WSCALE, 61, 4711, 0, Encap.none
)  # fmt: skip


def answer(data: bytes, *, wirelen: int | None = None, link: int = 1) -> Decoded:
    """Return the one answer of twin and kernel."""
    size = len(data) if wirelen is None else wirelen
    found = decode(data, size, link)
    assert KERNEL(data, size, link) == found
    return found


def segment(data: bytes, *, wirelen: int | None = None, link: int = 1) -> Segment:
    found = answer(data, wirelen=wirelen, link=link)
    assert found.drop is Drop.none
    assert found.segment is not None
    return found.segment


def test_decode__plain_segment_has_every_field():
    assert segment(frame(PACKET, 1)) == SEGMENT


def test_decode__ethernet_padding_is_not_payload():
    short = ipv4(A4, B4, tcp(1, 2))
    assert segment(frame(short, 1) + bytes(6)).payload == 0


def test_decode__length_zero_takes_the_wire_length():
    packet = ipv4(A4, B4, DATA, total=0)
    assert segment(frame(packet, 1), wirelen=14 + 40 + 65000).payload == 65000


def test_decode__snapped_frame_has_its_payload_on_the_wire():
    assert segment(frame(PACKET, 1)[:54], wirelen=66) == SEGMENT


@pytest.mark.parametrize(("captured", "window"), [(14, 0), (15, 0), (16, 512)])
def test_decode__fourteen_bytes_of_tcp_are_a_segment(captured, window):
    assert segment(frame(PACKET, 1)[: 34 + captured], wirelen=66) == replace(SEGMENT, window=window)


def test_decode__thirteen_bytes_of_tcp_are_truncated():
    assert answer(frame(PACKET, 1)[:47], wirelen=66).drop is Drop.truncated


def test_decode__padding_is_never_read_as_a_tcp_header():
    packet = ipv4(A4, B4, Packet(layers.TCP, DATA.data[:8]))
    assert answer(frame(packet, 1) + bytes([0x50]) * 40).drop is Drop.truncated


def test_decode__data_offset_below_five_is_a_bad_header():
    data = bytearray(frame(PACKET, 1))
    data[46] = 0x40
    assert answer(bytes(data)).drop is Drop.bad_header


def test_decode__header_longer_than_the_packet_has_no_payload():
    data = bytearray(frame(PACKET, 1))
    data[46] = 0xF0
    assert segment(bytes(data)).payload == 0


def test_decode__first_ipv4_fragment_is_a_segment_of_its_own_length():
    assert segment(frame_of_first_fragment()).payload == 20


def test_decode__later_ipv4_fragment_is_no_segment():
    whole = ipv4(A4, B4, tcp(1, 2, payload=DATA.data * 4))
    later = ipv4_fragments(whole, 40)[1]
    assert answer(frame(later, 1)).drop is Drop.fragment


def test_decode__later_ipv6_fragment_is_no_segment():
    packet = ipv6(A6, B6, DATA, extensions=(fragment_header(64, more=False),))
    assert answer(frame(packet, 1)).drop is Drop.fragment


def test_decode__first_ipv6_fragment_is_a_segment():
    packet = ipv6(A6, B6, DATA, extensions=(fragment_header(0, more=True),))
    assert segment(frame(packet, 1)).payload == 12


def test_decode__jumbo_option_gives_the_length():
    size = 8 + len(DATA.data) - 12 + 100_000
    packet = ipv6(A6, B6, DATA, extensions=(hop_by_hop_jumbo(size),), length=0)
    padded = 14 + 40 + size + 6
    assert segment(frame(packet, 1), wirelen=padded).payload == 100_000


OVERLONG = [
    (ipv4(A4, B4, DATA, total=4148), 1),
    (ipv4(A4, B4, DATA, total=4148, options=b"\x94\x04\0\0"), 1),
    (ipv6(A6, B6, DATA, length=4148), 1),
    (ipv6(A6, B6, DATA, extensions=((60, b"\0" + bytes(6)),), length=4148), 1),
    (ipv6(A6, B6, DATA, extensions=(hop_by_hop_jumbo(0xFFFFFFFF),), length=0), 1),
    (ipip(ipv4(A4, B4, DATA, total=4148)), 1),
    (vxlan(ipv6(A6, B6, DATA, length=4148)), 1),
    (ipv4(A4, B4, DATA, total=4148), 101),
]
OVERLONG_IDS = ["v4", "v4 options", "v6", "v6 extensions", "jumbo", "ipip", "vxlan", "raw"]


@pytest.mark.parametrize(("packet", "link"), OVERLONG, ids=OVERLONG_IDS)
def test_decode__ip_length_beyond_the_frame_is_not_believed(packet, link):
    data = frame(packet, link)
    assert segment(data, link=link).payload == len(PAYLOAD)
    assert segment(data, wirelen=len(data) + 100, link=link).payload == len(PAYLOAD) + 100
    assert segment(data, wirelen=0, link=link).payload == len(PAYLOAD)


@pytest.mark.parametrize("wrap", [ipip, gre, vxlan])
def test_decode__packet_in_a_fragmented_ipv4_tunnel_keeps_its_length(wrap):
    inner = ipv4(A4, B4, tcp(1, 2, payload=bytes(1400)))
    assert segment(frame(ipv4_fragments(wrap(inner), 800)[0], 1)).payload == 1400


@pytest.mark.parametrize(("more", "payload"), [(True, 1400), (False, 700)])
def test_decode__packet_in_a_fragmented_ipv6_tunnel_keeps_its_length(more, payload):
    inner = ipv6(A6, B6, tcp(1, 2, payload=bytes(1400)))
    part = Packet(layers.SIXIN4, inner.data[:-700])
    outer = ipv6("2001:db8::8", "2001:db8::9", part, extensions=(fragment_header(0, more=more),))
    assert segment(frame(outer, 1)).payload == payload


def test_decode__fragment_itself_is_not_believed_beyond_the_frame():
    data = bytearray(frame_of_first_fragment())
    data[16:18] = struct.pack(">H", 4148)
    assert segment(bytes(data)).payload == 20


def test_decode__ipv6_length_zero_without_jumbo_takes_the_wire_length():
    packet = ipv6(A6, B6, DATA, length=0)
    assert segment(frame(packet, 1), wirelen=14 + 60 + 90_000).payload == 90_000


@pytest.mark.parametrize("flags", [0x02, 0x12])
def test_decode__window_scale_is_read_of_packets_with_syn(flags):
    assert segment(frame(ipv4(A4, B4, syn(1, 2, wscale=9, flags=flags)), 1)).wscale == 9


def test_decode__window_scale_is_not_read_of_other_packets():
    assert segment(frame(ipv4(A4, B4, syn(1, 2, wscale=9, flags=0x10)), 1)).wscale == NO_WSCALE


def test_decode__window_scale_that_was_cut_off_is_unknown():
    data = frame(ipv4(A4, B4, syn(1, 2, wscale=9)), 1)
    assert segment(data[:-1], wirelen=len(data)).wscale == NO_WSCALE


@pytest.mark.parametrize(
    ("packet", "encap", "vid"),
    [
        (vlan(PACKET, 7), Encap.vlan, 7),
        (qinq(PACKET), Encap.qinq, 20),
        (vlan(qinq(PACKET), 99), Encap.qinq, 20),
        (vlan(pppoe(PACKET), 7), Encap.pppoe, 7),
        (vxlan(PACKET), Encap.vxlan, 0),
        (vlan(vxlan(PACKET), 7), Encap.vxlan, 7),
        (vxlan(vlan(PACKET, 8)), Encap.vlan, 8),
        (vlan(vxlan(vlan(PACKET, 8)), 7), Encap.vlan, 8),
        (gre(ethernet(PACKET)), Encap.gre, 0),
        (ipip(PACKET), Encap.ipip, 0),
    ],
)
def test_decode__innermost_wrapping_and_vlan_are_kept(packet, encap, vid):
    assert segment(frame(packet, 1)) == replace(SEGMENT, encap=encap, vlan=vid)


def nested(depth: int) -> bytes:
    packet = PACKET
    for _ in range(depth):
        packet = ipip(packet)
    return frame(packet, 1)


def test_decode__eight_wrappings_are_read():
    assert segment(nested(8)).encap is Encap.ipip


def test_decode__nine_wrappings_are_too_deep():
    assert answer(nested(9)).drop is Drop.too_deep


def test_decode__nine_vlan_tags_are_too_deep():
    packet = PACKET
    for number in range(9):
        packet = vlan(packet, number)
    assert answer(frame(packet, 1)).drop is Drop.too_deep


QUOTED = ipv4(A4, B4, syn(40000, 443, seq=77), ipid=5, ttl=3).data


def test_decode__icmp_error_gives_the_quoted_key():
    found = answer(frame(ipv4("10.9.9.9", A4, icmp_error(QUOTED[:28], kind=3, code=13)), 1))
    assert found == Decoded(
        Drop.icmp_error,
        Segment(
            parse_address(A4), parse_address(B4), 40000, 443, 77, 0, 0, 3 << 8 | 13, 0, NO_WSCALE, 3, 5, 0,
            Encap.none, quoted=True,
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    "message",
    [
        icmp_error(QUOTED[:27]),
        icmp_error(QUOTED[:28], kind=4),
        icmp_error(QUOTED[:28], kind=8),
        icmp_error(ipv4(A4, B4, udp(1, 2, b"x")).data),
        icmp_error(ipv4_fragments(ipv4(A4, B4, tcp(1, 2, payload=bytes(99))), 40)[1].data),
        icmp_error(b""),
    ],
)
def test_decode__icmp_without_a_quoted_tcp_header_is_only_counted(message):
    assert answer(frame(ipv4("10.9.9.9", A4, message), 1)) == Decoded(Drop.icmp_error)


def test_decode__whole_packet_quoted_is_still_no_segment():
    found = answer(frame(ipv4("10.9.9.9", A4, icmp_error(QUOTED)), 1))
    assert found.drop is Drop.icmp_error


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Drop.truncated),
        (bytes(12) + b"\x08\x06" + bytes(28), Drop.not_ip),
        (bytes(12) + b"\x08\0" + bytes(60), Drop.bad_header),
        (bytes(12) + b"\x08\0" + b"\x44" + bytes(60), Drop.bad_header),
        (bytes(12) + b"\x86\xdd" + bytes(60), Drop.bad_header),
        (frame(ipv4(A4, B4, udp(53, 53, bytes(20))), 1), Drop.not_tcp),
        (frame(ipv4(A4, B4, udp(1, 4789, bytes(20))), 1), Drop.not_tcp),
        (frame(ipv4(A4, B4, udp(1, 4789, b"\x08" + bytes(19) + b"\x08\x06" + bytes(28))), 1), Drop.not_tcp),
        (frame(vlan(PACKET), 1)[:16], Drop.truncated),
        (bytes(12) + struct.pack(">H", 38) + b"\x42\x42\x03" + bytes(60), Drop.not_ip),
    ],
)
def test_decode__reason_of_a_drop(data, reason):
    assert answer(data) == Decoded(reason)


def test_decode__raw_ip_of_no_version_is_a_bad_header():
    assert answer(b"\x50" + bytes(60), link=101).drop is Drop.bad_header
