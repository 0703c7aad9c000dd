"""Nothing waits for ever: a test that does is interrupted where it stands, and fails with the place."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from types import FrameType

import pytest

import lastack.app  # noqa: F401  (lets kernels that are not compiled yet be compiled)

LIMIT_S = 180


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    def interrupt(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"the test took more than {LIMIT_S} s")

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
