"""What a verdict takes from the rest of the run: crowds of half-open attempts, and whether both ways were seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lastack.diagnosis.crowd import Crowds, crowd_of_rows, crowds_of_groups


@dataclass(frozen=True, slots=True)
class Around:
    """The run around a session, the same for every row of it.

    Attributes:
        crowd: Crowded places; None if they are not known, then nothing is called a flood.
        both_ways: Whether any session of the run has packets of both ends. If not, the capture sees one direction,
            and that nothing answers a SYN says nothing.
    """

    crowd: Crowds | None = None
    both_ways: bool = True


def around_rows(batch: Any, sizes: Sequence[int] = ()) -> Around:
    """Return what is known of the run where rows leave before its end: what leaves together.

    Args:
        batch: The rows.
        sizes: How many of them left at a time, in order; nothing if all did.
    """
    return Around(crowd_of_rows(batch) if len(sizes) <= 1 else crowds_of_groups(batch, sizes))
