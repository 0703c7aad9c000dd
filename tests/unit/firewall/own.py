"""A small profile of a made-up box, for tests that change one thing of it."""

from __future__ import annotations

import tomllib
from typing import Any

from lastack.firewall.problems import Problem
from lastack.firewall.profile import Profile
from lastack.firewall.schema import parse_profile

BOX = """
schema = 1
title = "Box"
kind = "firewall"
confidence = "medium"
sources = ["its manual"]

[timers.opening]
vendor_name = "open-timer"
seconds = 10
mode = "idle"
[timers.open]
vendor_name = "session-timer"
seconds = 3600
min = 60
max = 86400
mode = "idle"
[timers.half]
vendor_name = "half-timer"
seconds = 120
min = 1
max = 600
mode = "absolute"
[timers.wait]
vendor_name = "wait-timer"
seconds = 15
mode = "absolute"

[phases]
syn_sent = "opening"
syn_recv = "opening"
established = "open"
fin1 = "half"
fin1_acked = "half"
fin2 = "wait"
closed = "wait"
rst = "wait"

[no_session]
syn_ack = "drop"
data = "drop"
fin = "drop"
rst = "drop"

[effects]
rst_check = "window"
"""


def document(old: str = "", new: str = "", more: str = "") -> dict[str, Any]:
    """Return the box's document with one text replaced and more at its end."""
    assert old in BOX
    return tomllib.loads(BOX.replace(old, new, 1) + more if old else BOX + more)


def problems(old: str = "", new: str = "", more: str = "") -> list[str]:
    """Return what is wrong with the changed document."""
    return [problem.text() for problem in parse_profile(document(old, new, more), "box")[1]]


def box(old: str = "", new: str = "", more: str = "") -> Profile:
    """Return the changed profile, which must be right."""
    found: list[Problem]
    profile, found = parse_profile(document(old, new, more), "box")
    assert not found
    return profile
