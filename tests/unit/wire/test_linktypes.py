from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.wire.frames import frames_by_link

from lastack.wire import decode
from lastack.wire.linktypes import BY_NUMBER, LINK_TYPES, NOT_READ, is_read, name_of

HOWTO = Path(__file__).resolve().parents[3] / "docs" / "howto" / "add-a-link-type.md"


def test_link_types__numbers_are_unique():
    assert len(BY_NUMBER) == len(LINK_TYPES)
    assert not BY_NUMBER.keys() & NOT_READ.keys()


@pytest.mark.parametrize("row", LINK_TYPES, ids=lambda row: f"{row.name}-{row.number}")
def test_link_types__each_has_a_reader_and_a_test_frame(row):
    assert row.layer in decode.READERS
    assert any(link == row.number for _, link, _ in frames_by_link())


def test_name_of__names_known_and_unknown_links():
    assert (name_of(1), name_of(276), name_of(147), name_of(999)) == (
        "EN10MB",
        "LINUX_SLL2",
        "USER0",
        "link type 999",
    )


def test_is_read__tells_named_from_read():
    assert is_read(1)
    assert not is_read(147)


def test_howto__names_every_place_to_touch():
    text = HOWTO.read_text()
    for place in ("wire/linktypes.py", "wire/link.py", "kernels/decode_link.py", "wire/wrap.py"):
        assert place in text
