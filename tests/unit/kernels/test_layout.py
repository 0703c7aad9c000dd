"""The records of the flow table."""

from __future__ import annotations

import numpy as np
import pytest

from lastack.kernels import layout
from lastack.model.batch import SEGMENT

RECORDS = ("HOT", "KEY", "INFO", "CLOSE", "PROOF", "AFTER", "RARE", "GAP", "MARK", "NODE", "POOL", "TABLE")


@pytest.mark.parametrize("name", RECORDS)
def test_layout__no_field_hides_behind_an_attribute_of_numpy_records(name: str) -> None:
    assert not set(getattr(layout, name).names) & set(dir(np.record))


def test_layout__segments_hide_no_field_either() -> None:
    assert not set(SEGMENT.names) & set(dir(np.record))


def test_layout__hot_and_key_are_one_cache_line_each() -> None:
    assert layout.HOT.itemsize == layout.KEY.itemsize == layout.INFO.itemsize == 64


@pytest.mark.parametrize("name", RECORDS)
def test_layout__records_are_whole_words_as_clearing_them_needs(name: str) -> None:
    assert getattr(layout, name).itemsize % 8 == 0
