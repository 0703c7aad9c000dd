"""Plays patterns, one or many, and returns what was captured and what must be found in it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from shutil import which

from lastack.lab.closes.labels import Label, label
from lastack.lab.closes.pattern import Pattern
from lastack.lab.closes.stage import CLIENT_PORT, staged
from lastack.lab.netns import LabError
from lastack.lab.sniffer import Frame
from lastack.lab.topology import Lab
from lastack.model.errors import LastackError

#: Ports that a pattern may use from its first one on.
_PORTS_EACH = 20


@dataclass(frozen=True, slots=True)
class Played:
    """A pattern that was played.

    Attributes:
        pattern: Which.
        frames: What was captured, cut to the pattern's snap length.
        link: Link type.
        label: What must be found in it; None if it failed.
        failure: Why it failed, empty if it did not.
    """

    pattern: Pattern
    frames: list[Frame]
    link: int
    label: Label | None
    failure: str = ""


def unmet(pattern: Pattern) -> str:
    """Return what a pattern needs and this machine does not have, empty if nothing."""
    for need in pattern.needs:
        if need == "setgroups":
            # a user namespace without root's help may not; tcpdump insists, even to stay the user that it is
            if Path("/proc/self/setgroups").read_text(encoding="ascii").strip() == "deny":
                return "tcpdump does not run in a user namespace"
        elif need.startswith("/"):
            if not os.access(need, os.R_OK | os.W_OK):
                return f"{need} cannot be opened"
        elif which(need) is None:
            return f"there is no {need}"
    return ""


def play(pattern: Pattern, clt_port: int = CLIENT_PORT) -> Played:
    """Play a pattern in a lab of its own.

    Args:
        pattern: Which.
        clt_port: The client's first port.

    Raises:
        LabError: It did not come out as it claims, or not in time.
        AccessError: No lab can be built.
    """
    if reason := unmet(pattern):
        raise LabError(f"{pattern.name}: {reason}")
    with staged(Lab(pattern.topology, **pattern.options), pattern.watch, clt_port) as stage:
        try:
            pattern.play(stage)
        except OSError as error:
            raise LabError(f"{pattern.name}: {error}") from error
        frames, link = stage.capture()
        cut = [Frame(frame.ts_ns, frame.wirelen, frame.data[: pattern.snaplen]) for frame in frames]
        return Played(pattern, cut, link, label(pattern, stage, stage.wire.segments()))


def play_all(
    patterns: Sequence[Pattern],
    workers: int = 6,
    apart: bool = True,
    progress: Callable[[Played], None] = lambda _played: None,
) -> list[Played]:
    """Play patterns side by side, each in a lab of its own, and return them in this order.

    One that fails is played once more, alone: a busy machine can be too late for a pattern of a second. One that fails
    again has no label and says why.

    Args:
        patterns: Which.
        workers: How many at a time; most of them mostly wait.
        apart: Whether each has client ports of its own, as it must when all are to go into one capture.
        progress: Called with each that is done.
    """

    def one(numbered: tuple[int, Pattern]) -> Played:
        number, pattern = numbered
        try:
            played = play(pattern, CLIENT_PORT + (number * _PORTS_EACH if apart else 0))
        except LastackError as error:
            return Played(pattern, [], 0, None, str(error))
        progress(played)
        return played

    with ThreadPoolExecutor(workers, thread_name_prefix="pattern") as pool:
        results = list(pool.map(one, enumerate(patterns)))
    for number, played in enumerate(results):
        if played.failure:
            results[number] = one((number, played.pattern))
            if results[number].failure:
                progress(results[number])
    return results
