from __future__ import annotations

import struct

import pytest

from lastack.wire.build import checksum, icmp_error, ipv4, ipv4_fragments, ipv6, syn, tcp, udp
from lastack.wire.wrap import mpls, pppoe, teredo, vlan

A, B = "10.0.0.1", "10.0.0.2"


def test_checksum__example_of_rfc_1071():
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == 0xFFFF - 0xDDF2


def test_checksum__odd_byte_is_padded():
    assert checksum(b"\x01") == checksum(b"\x01\x00")


@pytest.mark.parametrize("packet", [tcp(1, 2, payload=b"odd"), udp(1, 2, b"odd"), syn(1, 2)])
def test_ipv4__checksums_add_up(packet):
    data = ipv4(A, B, packet).data
    assert checksum(data[:20]) == 0
    assert checksum(data[12:20] + struct.pack(">BBH", 0, data[9], len(data) - 20) + data[20:]) == 0


def test_ipv4__icmp_checksum_has_no_pseudo_header():
    assert checksum(ipv4(A, B, icmp_error(b"x" * 28)).data[20:]) == 0


def test_ipv6__checksum_covers_the_addresses():
    data = ipv6("2001:db8::1", "2001:db8::2", tcp(1, 2, payload=b"odd")).data
    assert checksum(data[8:40] + struct.pack(">II", len(data) - 40, 6) + data[40:]) == 0


def test_ipv4_fragments__make_the_whole_again():
    whole = ipv4(A, B, tcp(1, 2, payload=bytes(range(100))), ipid=3)
    pieces = ipv4_fragments(whole, 48)
    assert b"".join(piece.data[20:] for piece in pieces) == whole.data[20:]
    assert [struct.unpack(">H", piece.data[6:8])[0] for piece in pieces] == [0x2000, 0x2006, 12]


def test_tcp__options_are_padded_to_words():
    assert len(tcp(1, 2, options=b"\x03\x03\x07").data) == 24


@pytest.mark.parametrize("wrap", [mpls, pppoe, teredo])
def test_wrap__refuses_what_cannot_be_carried(wrap):
    with pytest.raises(ValueError, match="cannot be carried"):
        wrap(vlan(ipv4(A, B, tcp(1, 2))))
