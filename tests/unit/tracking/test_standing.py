"""Whose time is up, and what a clock that is set does to it."""

from __future__ import annotations

import numpy as np
import pytest

from lastack.model.units import NS_PER_S
from lastack.tracking.standing import Step, silence

S = NS_PER_S


@pytest.mark.parametrize(
    ("last_s", "now_s", "steps", "expected_s"),
    [
        (100, 130, [], 30),
        (100, 3730, [Step(110 * S, 3600 * S)], 30),  # set forward by an hour while it was silent
        (3720, 3730, [Step(110 * S, 3600 * S)], 10),  # its last packet came after that
        (3600, 30, [Step(3620 * S, -3600 * S)], 30),  # set back by an hour
        (20, 30, [Step(3620 * S, -3600 * S)], 10),
    ],
)
def test_silence__is_what_it_was_in_spite_of_a_clock_that_is_set(
    last_s: int, now_s: int, steps: list[Step], expected_s: int
) -> None:
    assert silence(np.array([last_s * S]), now_s * S, steps).tolist() == [expected_s * S]
