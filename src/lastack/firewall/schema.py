"""Reads a profile out of its TOML document; every mistake has its key path and a remedy.

The document is parsed by the caller, who knows files. A profile may be based on another (`base = "panos"`): its
document is laid over that one's. Answers to open questions and switches of the product are changes of the document, so
that each reading of a profile is checked as strictly as the profile itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

from lastack.firewall.document import Node
from lastack.firewall.problems import Problem, Severity, near
from lastack.firewall.profile import Effects, Fork, Profile, Reading, Switch
from lastack.firewall.schema_timers import read_phases, read_rules, read_timer
from lastack.firewall.words import (
    Confidence,
    Engine,
    Kind,
    NoSession,
    OnExpiry,
    Phase,
    RstCheck,
    Segment,
    TableFull,
)
from lastack.model.errors import UsageError

SCHEMA = 1
_LAID_OVER = ("timers", "phases", "no_session", "no_session_outside", "effects", "options", "switches")


def merged(base: Mapping[str, Any], document: Mapping[str, Any]) -> dict[str, Any]:
    """Return `document` laid over its base: tables key by key, all else replaced."""
    result: dict[str, Any] = deepcopy(dict(base))
    for key, value in document.items():
        if key == "timers" and isinstance(value, Mapping) and isinstance(result.get(key), dict):
            for name, timer in value.items():
                before = result[key].get(name)
                both = isinstance(before, dict) and isinstance(timer, Mapping)
                result[key][name] = {**before, **timer} if both else deepcopy(timer)
        elif key in _LAID_OVER and isinstance(value, Mapping) and isinstance(result.get(key), dict):
            result[key].update(deepcopy(dict(value)))
        elif key != "base":
            result[key] = deepcopy(value)
    return result


def changed(document: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document with the values of some key paths replaced.

    Raises:
        UsageError: A path goes through something that is not a table of the document.
    """
    result = deepcopy(dict(document))
    for path, value in changes.items():
        *parents, last = path.split(".")
        place: Any = result
        for step in parents:
            if not isinstance(place, dict) or step not in place:
                raise UsageError(f"changes: {path}: the document has no {step}")
            place = place[step]
        if not isinstance(place, dict):
            raise UsageError(f"changes: {path}: {parents[-1]} is not a table")
        place[last] = deepcopy(value)
    return result


def parse_profile(
    document: Mapping[str, Any], name: str, *, quick: bool = False
) -> tuple[Profile, list[Problem]]:
    """Return the profile of a document, its base merged in, with what is wrong with it.

    The profile is of use only if no problem is an error.

    Args:
        document: The parsed TOML document.
        name: What the profile is called.
        quick: Do not check the readings of its open questions and its switches (tests check those of our own files).
    """
    profile, problems = _parse(document, name)
    if quick:
        return profile, problems
    for fork in profile.forks:
        for reading in fork.readings:
            problems += _check_changes(document, name, f"forks.{fork.name}.{reading.name}", reading.changes)
    for switch in profile.switches:
        problems += _check_changes(document, name, f"switches.{switch.name}", switch.changes)
    return profile, problems


def turned(profile: Profile, readings: Mapping[str, str], switches: Mapping[str, bool]) -> Profile:
    """Return a profile with some open questions answered and some switches turned.

    Args:
        profile: The profile.
        readings: Reading by name of the fork.
        switches: Position by name of the switch.

    Raises:
        UsageError: There is no such fork, reading or switch.
    """
    document: Mapping[str, Any] = profile.document
    by_name = {switch.name: switch for switch in profile.switches}
    for name, position in switches.items():
        if name not in by_name:
            raise UsageError(f"{profile.name} has no switch {name!r}: {near(name, by_name)}")
        if position != by_name[name].default:
            document = changed(document, by_name[name].changes)
    taken = {fork.name: fork.assumed for fork in profile.forks}
    forks = {fork.name: fork for fork in profile.forks}
    for name, answer in readings.items():
        if name not in forks:
            raise UsageError(f"{profile.name} has no open question {name!r}: {near(name, forks)}")
        answers = {reading.name: reading for reading in forks[name].readings}
        if answer not in answers:
            raise UsageError(
                f"{profile.name}: {name}: no reading is called {answer!r}: {near(answer, answers)}"
            )
        document = changed(document, answers[answer].changes)
        taken[name] = answer
    result, problems = _parse(document, profile.name)
    assert not problems, f"a checked profile cannot become wrong: {problems}"
    return replace(result, readings=taken, document=profile.document)


def _check_changes(
    document: Mapping[str, Any], name: str, path: str, changes: Mapping[str, Any]
) -> list[Problem]:
    try:
        _, problems = _parse(changed(document, changes), name)
    except UsageError as reason:
        return [Problem(Severity.error, path, str(reason))]
    _, before = _parse(document, name)
    known = {(problem.path, problem.message) for problem in before}
    return [
        replace(problem, path=f"{path}: {problem.path}")
        for problem in problems
        if (problem.path, problem.message) not in known
    ]


def _parse(document: Mapping[str, Any], name: str) -> tuple[Profile, list[Problem]]:
    problems: list[Problem] = []
    root = Node(document, "", problems)
    if root.whole("schema") != SCHEMA:
        root.error("schema", "is not a schema that this version reads", f"write schema = {SCHEMA}")
    engine = root.word("engine", Engine, Engine.flags)
    on_expiry = root.word("on_expiry", OnExpiry, OnExpiry.silent)
    confidence = root.word("confidence", Confidence)
    timers = {key: read_timer(node, key, on_expiry, confidence) for key, node in root.named("timers").items()}
    if not timers:
        root.error("timers", "is missing: a profile has at least one timer", "write [timers.NAME]")
    effects = _effects(root)
    phases = read_phases(root.table("phases"), timers, engine, effects.rst_check)
    transitions, caps, clamps = read_rules(root, timers)
    forks = tuple(_fork(node) for node in root.tables("forks"))
    profile = Profile(
        name=name,
        title=root.text("title"),
        vendor=root.text("vendor", ""),
        kind=root.word("kind", Kind),
        engine=engine,
        versions=root.text("versions", ""),
        confidence=confidence,
        sources=root.words("sources"),
        timers={
            key: replace(timer, phases=_runs_in(timer.phases, key, phases)) for key, timer in timers.items()
        },
        phases=phases,
        effects=effects,
        transitions=transitions,
        caps=caps,
        clamps=clamps,
        override_scopes=root.words("override_scopes"),
        options=_options(root.table("options")),
        forks=forks,
        readings={fork.name: fork.assumed for fork in forks if fork.readings},
        switches=tuple(_switch(node, key) for key, node in root.named("switches").items()),
        notes=root.words("notes"),
        cannot=root.words("cannot"),
        document=document,
    )
    root.finish()
    return profile, problems


def _runs_in(bookkeeping: tuple[str, ...], name: str, phases: Mapping[Phase, Any]) -> tuple[str, ...]:
    return (*(phase for phase in Phase if phase in phases and name in _names(phases[phase])), *bookkeeping)


def _names(pair: Any) -> tuple[str, str]:
    return pair.client, pair.server


def _effects(root: Node) -> Effects:
    segments = root.table("no_session")
    no_session = {segment: segments.word(segment, NoSession) for segment in Segment}
    segments.finish()
    outer = root.table("no_session_outside")
    outside = {segment: outer.word(segment, NoSession, word) for segment, word in no_session.items()}
    outer.finish()
    node = root.table("effects")
    effects = Effects(
        no_session=no_session,
        no_session_outside=outside,
        rst_check=node.word("rst_check", RstCheck),
        table_full=node.word("table_full", TableFull, TableFull.drop_new),
        table_size=node.whole("table_size", 0) or None,
        scale_low=node.number("scale_low", 0.0),
        scale_high=node.number("scale_high", 0.0),
        scale_factor=node.number("scale_factor", 0.0),
        evict=tuple(Phase(word) for word in node.words("evict", list(Phase))),
    )
    if effects.table_full is TableFull.scale_timers and not (effects.scale_high or effects.scale_factor):
        node.error("table_full", "scale_timers needs scale_factor, or scale_low and scale_high")
    node.finish()
    return effects


def _options(node: Node) -> dict[str, bool | int]:
    found: dict[str, bool | int] = {}
    for key, value in node.values.items():
        found[key] = node.flag(key) if isinstance(value, bool) else node.whole(key)
    return found


def _changes(node: Node) -> Mapping[str, Any]:
    table = node.table("changes")
    return dict(table.values)


def _fork(node: Node) -> Fork:
    readings = []
    for reading in node.tables("readings"):
        readings.append(Reading(reading.text("name"), _changes(reading)))
        reading.finish()
    if len(readings) < 2:
        node.error(
            "readings", "an open question has at least two readings", "write [[forks.readings]] for each"
        )
        readings = readings or [Reading("", {})]
    fork = Fork(node.text("name"), node.text("question"), tuple(readings))
    node.finish()
    return fork


def _switch(node: Node, name: str) -> Switch:
    switch = Switch(
        name, node.text("vendor_name"), node.flag("default", False), _changes(node), node.text("note", "")
    )
    node.finish()
    return switch
