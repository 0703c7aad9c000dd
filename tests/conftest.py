"""Nothing waits for ever: a test that does is interrupted where it stands, and fails with the place."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from types import FrameType

import pytest
from hypothesis import settings

import lastack.app  # noqa: F401  (lets kernels that are not compiled yet be compiled)

LIMIT_S = 180
_EXAMPLES = 200  # that a property test has this time for


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    limit_s = LIMIT_S * max(1, settings().max_examples // _EXAMPLES)

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"the test took more than {limit_s} s")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
