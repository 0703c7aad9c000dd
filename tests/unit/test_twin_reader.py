"""The twin's reader peels what real captures have and its own writer never makes."""

from __future__ import annotations

import pytest
from tests.naive.files import Frame
from tests.naive.links import Drop
from tests.naive.reader import segment
from tests.unit.wire.frames import A4, A6, B4, B6, rare_frames

from lastack.wire.build import ipv4, ipv6, syn


def frame(link: int, data: bytes) -> Frame:
    return Frame(1, 0, link, len(data), data)


def test_reader__peels_l2tp() -> None:
    found = segment(frame(1, dict(rare_frames())["l2tp with offset"]))
    assert (found.encap, found.src, found.sport, found.dport) == ("l2tp", A4, 40000, 443)


@pytest.mark.parametrize(("link", "fits"), [(101, True), (228, True), (229, False)])
def test_reader__link_types_of_one_ip_version_announce_it(link: int, fits: bool) -> None:
    four, six = ipv4(A4, B4, syn(40000, 443, seq=7)).data, ipv6(A6, B6, syn(40000, 443, seq=7)).data
    right, other = (four, six) if fits else (six, four)
    assert segment(frame(link, right)).sport == 40000
    if link == 101:
        assert segment(frame(link, other)).sport == 40000
        return
    with pytest.raises(Drop, match="bad_header"):
        segment(frame(link, other))
