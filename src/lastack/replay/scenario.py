"""What a what-if asks and what it answers: a box in one or many settings, and the sums over sessions for each."""

from __future__ import annotations

from dataclasses import dataclass, field

from lastack.firewall.policy import Policy
from lastack.firewall.profile import Profile
from lastack.firewall.table import Box
from lastack.replay.holding import Window
from lastack.replay.sweep import Outcome


@dataclass(frozen=True, slots=True)
class Scenario:
    """One box in J settings, from short to long timers.

    Attributes:
        name: For tables: the profile, or what differs.
        profile: The system.
        policy: Its configuration.
        boxes: The box in each setting; they differ in lengths of timers only.
        settings: The swept timer's value in each setting, in ns; empty when nothing is swept.
        swept: Name of the swept timer.
    """

    name: str
    profile: Profile
    policy: Policy
    boxes: tuple[Box, ...]
    settings: tuple[int, ...] = ()
    swept: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a scenario.

    Attributes:
        scenario: What was asked.
        outcome: Sums by group and setting.
        groups: Names of the groups.
        why: What the session record leaves open about this box; empty when all of it is exact.
    """

    scenario: Scenario
    outcome: Outcome
    groups: tuple[str, ...]
    why: tuple[str, ...]


@dataclass(slots=True)
class Whatif:
    """Answers to all scenarios, over the same sessions.

    Attributes:
        answers: One for each scenario.
        window: The time they are about.
        odd: Sessions that a box may read differently than the record does.
        notes: What a person must know of the input.
    """

    answers: list[Answer]
    window: Window
    odd: int = 0
    notes: list[str] = field(default_factory=list)
