"""What is known of one system's timers: the declarative form, frozen, as its TOML file says it.

Knows no file: `lastack.firewall.schema` reads a document, `lastack.app.profiles` finds the files. Knows no packet:
`lastack.firewall.compile` turns a profile and a policy into the numbers that the state machine runs.
Durations are integer nanoseconds; None is no limit.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from lastack.firewall.words import (
    By,
    CapWhen,
    Confidence,
    Engine,
    Event,
    Kind,
    Mode,
    NoSession,
    OnExpiry,
    Phase,
    RefreshBy,
    RstCheck,
    Segment,
    TableFull,
)


@dataclass(frozen=True, slots=True)
class Timer:
    """One timer of a system.

    Attributes:
        name: How the profile calls it.
        vendor_name: How the product calls it.
        ns: Its default; None when it has no limit or none is set.
        mode: What it counts.
        refresh_by: Packets that restart it when idle.
        on_expiry: What is done at its end.
        minimum_ns: Smallest value that can be configured, None when not documented.
        maximum_ns: Largest value that can be configured, None when not documented.
        start: Events that start it, in the words of the facts (`first_fin`, `second_fin_acked`).
        phases: Phases and bookkeeping that the source applies it to.
        resolution_ns: How much later than due the entry may really go; 0 for exact.
        restart_in: Phases whose entry restarts its clock although it runs already.
        scopes: Levels of configuration that can set it: `global`, `app`; empty when it is fixed.
        zero_is_never: Whether a configured 0 means no limit.
        effective: Pieces `(above_ns, minus_ns, times)` of the formula from configured to real time; empty for equal.
        confidence: How sure it is.
        source: Where it comes from, empty when the profile's sources say it all.
        note: What the fields cannot say.
    """

    name: str
    vendor_name: str
    ns: int | None
    mode: Mode
    refresh_by: RefreshBy
    on_expiry: OnExpiry
    minimum_ns: int | None = None
    maximum_ns: int | None = None
    start: tuple[str, ...] = ()
    phases: tuple[str, ...] = ()
    resolution_ns: int = 0
    restart_in: tuple[Phase, ...] = ()
    scopes: tuple[str, ...] = ("global", "app")
    zero_is_never: bool = False
    effective: tuple[tuple[int, int, int], ...] = ()
    confidence: Confidence = Confidence.medium
    source: str = ""
    note: str = ""

    def effective_ns(self, configured_ns: int) -> int:
        """Return how long the timer really runs when it is set to `configured_ns`."""
        for above_ns, minus_ns, times in reversed(self.effective):
            if configured_ns > above_ns:
                return (configured_ns - minus_ns) * times
        return configured_ns


@dataclass(frozen=True, slots=True)
class PhaseTimer:
    """Names of the timers of one phase: when the client closed first, and when the server did (mostly the same)."""

    client: str
    server: str


@dataclass(frozen=True, slots=True)
class Transition:
    """An exception from the derived phases: `event` from `by` in `phase` leads to `to`."""

    phase: Phase
    event: Event
    by: By
    to: Phase


@dataclass(frozen=True, slots=True)
class Cap:
    """In `phases`, while `when` holds, no timer longer than `timer` runs; `count` is the repeats that it takes."""

    when: CapWhen
    timer: str
    phases: tuple[Phase, ...]
    count: int = 0


@dataclass(frozen=True, slots=True)
class Clamp:
    """In effect `timer` never exceeds `at_most`, whatever is configured."""

    timer: str
    at_most: str


@dataclass(frozen=True, slots=True)
class Effects:
    """What the box does beyond timing.

    Attributes:
        no_session: What happens to each class of segment that meets no session.
        no_session_outside: The same for segments that come from outside, towards the side that opens sessions.
        rst_check: Which RSTs it believes.
        table_full: What happens when the table is full.
        table_size: Entries the table holds by default, None when not documented or unlimited.
        scale_low: Share of the table from which timers are scaled.
        scale_high: Share of the table at which timers are scaled to nothing (pf), or 0 for a fixed factor.
        scale_factor: By how much timers are divided above `scale_low`, 0 when `scale_high` says it.
        evict: Phases whose entries go first when room is needed.
    """

    no_session: Mapping[Segment, NoSession]
    no_session_outside: Mapping[Segment, NoSession]
    rst_check: RstCheck
    table_full: TableFull
    table_size: int | None = None
    scale_low: float = 0.0
    scale_high: float = 0.0
    scale_factor: float = 0.0
    evict: tuple[Phase, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """One answer to an open question: values by key path that replace those of the document."""

    name: str
    changes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Fork:
    """A fact that no source settles; the first reading is the one assumed.

    Attributes:
        name: How `--fork name=reading` calls it.
        question: What is not known.
        readings: The answers; both are run when it matters.
    """

    name: str
    question: str
    readings: tuple[Reading, ...]

    @property
    def assumed(self) -> str:
        """Name of the reading that is taken unless told."""
        return self.readings[0].name


@dataclass(frozen=True, slots=True)
class Switch:
    """A setting of the product that is not a duration: values by key path that it replaces when it is turned.

    Attributes:
        name: How a policy calls it.
        vendor_name: How the product calls it.
        default: Its default.
        changes: What differs when it is the other way.
        note: What it does.
    """

    name: str
    vendor_name: str
    default: bool
    changes: Mapping[str, Any]
    note: str = ""


@dataclass(frozen=True, slots=True)
class Profile:
    """One system that keeps sessions, with its default timers.

    Attributes:
        name: Its identifier: file name and `--profile`.
        title: Its name for people.
        vendor: Who makes it.
        kind: What it is.
        engine: Which machine runs it.
        versions: What the values hold for.
        confidence: How sure the profile is as a whole.
        sources: Where the values come from.
        timers: The timers by name.
        phases: Which timer runs in which phase; a host has timers for few phases.
        effects: What it does beyond timing.
        transitions: Exceptions from the derived phases, first match first.
        caps: Limits of the running timer.
        clamps: Limits of one timer by another.
        override_scopes: Its levels of configuration, highest precedence first.
        options: Numbers and flags of the engine (`loose`, `be_liberal`, `max_retrans`).
        forks: What is not known.
        readings: Reading taken for each fork.
        switches: Settings that are not durations.
        notes: Facts that the fields cannot carry.
        cannot: What the model cannot express.
        document: The document that it was read from, its base merged in; other readings are read from it again.
    """

    name: str
    title: str
    vendor: str
    kind: Kind
    engine: Engine
    versions: str
    confidence: Confidence
    sources: tuple[str, ...]
    timers: Mapping[str, Timer]
    phases: Mapping[Phase, PhaseTimer]
    effects: Effects
    transitions: tuple[Transition, ...] = ()
    caps: tuple[Cap, ...] = ()
    clamps: tuple[Clamp, ...] = ()
    override_scopes: tuple[str, ...] = ()
    options: Mapping[str, bool | int] = field(default_factory=dict)
    forks: tuple[Fork, ...] = ()
    readings: Mapping[str, str] = field(default_factory=dict)
    switches: tuple[Switch, ...] = ()
    notes: tuple[str, ...] = ()
    cannot: tuple[str, ...] = ()
    document: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    def timer_of(self, phase: Phase, first_closer: str = "client") -> Timer | None:
        """Return the timer that runs in a phase, None if the system has none there.

        Args:
            phase: The phase.
            first_closer: `client` or `server`: who sent the first FIN.
        """
        names = self.phases.get(phase)
        if names is None:
            return None
        return self.timers[names.server if first_closer == "server" else names.client]

    def half_closed(self) -> Timer | None:
        """Return the timer that a half-closed session runs on."""
        return self.timer_of(Phase.fin1_acked)


def all_readings(forks: tuple[Fork, ...]) -> Iterator[dict[str, str]]:
    """Yield every combination of readings, the assumed one first."""
    for chosen in product(*(fork.readings for fork in forks)):
        yield {fork.name: reading.name for fork, reading in zip(forks, chosen, strict=True)}


def single_readings(forks: tuple[Fork, ...]) -> Iterator[dict[str, str]]:
    """Yield the assumed readings, then each other answer alone: enough to say on which question a verdict hangs."""
    assumed = {fork.name: fork.assumed for fork in forks}
    yield assumed
    for fork in forks:
        for reading in fork.readings[1:]:
            yield {**assumed, fork.name: reading.name}
