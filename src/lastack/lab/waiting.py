"""Waiting for something to be true, with a deadline: a lab never sleeps and hopes."""

from __future__ import annotations

import time
from collections.abc import Callable

from lastack.lab.netns import LabError


def wait_until(
    condition: Callable[[], object], what: str, deadline_s: float = 8.0, poll_s: float = 0.002
) -> None:
    """Return once the condition holds.

    Args:
        condition: Asked again and again; anything true ends the waiting.
        what: What is waited for, for the message.
        deadline_s: Seconds after which it is given up.
        poll_s: Seconds between two questions.

    Raises:
        LabError: The deadline has passed.
    """
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise LabError(f"waited {deadline_s:g} s for {what}")
        time.sleep(poll_s)
