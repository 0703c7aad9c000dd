"""Reads a policy out of its TOML document, checked against the profile that it configures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lastack.firewall.application import Application, read_application, read_applications, read_zones
from lastack.firewall.document import Node
from lastack.firewall.policy import Override, Policy
from lastack.firewall.problems import Problem, near
from lastack.firewall.profile import Profile
from lastack.firewall.schema import turned
from lastack.firewall.settings import check_value, named_application, timers_of
from lastack.model.errors import UsageError

#: Each new session is compared with all of them.
MOST_OVERRIDES = 1000
_KEYS = ("ports", "zone", "server_zone", "client_zone")


def parse_policy(
    document: Mapping[str, Any],
    profile: Profile,
    name: str,
    applications: Mapping[str, Any] | None = None,
) -> tuple[Policy, list[Problem]]:
    """Return the policy of a document, with what is wrong with it.

    It is of use only if no problem is an error.

    Args:
        document: The parsed TOML document.
        profile: The profile that it names.
        name: What the policy is called unless the document says.
        applications: A document with more `[zones]` and `[apps]`; those of the policy come first.
    """
    problems: list[Problem] = []
    root = Node(document, "", problems)
    zones, apps = _surroundings(root, applications)
    reference = root.text("profile")
    root.text("applications", "")
    switches = _switches(root.table("switches"), profile)
    readings = _readings(root.table("forks"), profile)
    if not problems:
        profile = turned(profile, readings, switches)
    timers = _timers(root.table("timers"), profile, "global")
    overrides = tuple(_override(node, profile, zones, apps) for node in root.tables("override"))
    policy = Policy(
        name=root.text("name", name),
        profile=reference,
        timers=timers,
        overrides=overrides,
        switches=switches,
        readings=readings,
        table_size=root.whole("table_size", 0) or None,
        applications=apps,
    )
    if len(overrides) > MOST_OVERRIDES:
        root.error(
            "override",
            f"there are {len(overrides):,}; more than {MOST_OVERRIDES:,} are not taken",
            "join those with the same timers: ports takes a list",
        )
    root.finish()
    return policy, problems


def _surroundings(
    root: Node, applications: Mapping[str, Any] | None
) -> tuple[dict[str, Any], dict[str, Application]]:
    zones, apps = {}, {}
    if applications is not None:
        other = Node(applications, "", root.problems)
        zones = read_zones(other)
        apps = read_applications(other, zones)
    zones |= read_zones(root)
    return zones, apps | read_applications(root, zones)


def _timers(node: Node, profile: Profile, scope: str) -> dict[str, int | None]:
    found: dict[str, int | None] = {}
    said: dict[str, str] = {}
    for key in node.values:
        node.has(key)
        before = len(node.problems)
        ns = node.duration(key)
        if len(node.problems) > before:
            continue
        try:
            timers = timers_of(profile, key)
        except UsageError as reason:
            node.error(key, str(reason))
            continue
        for timer in timers:
            why = check_value(profile, timer, ns, scope)
            if why:
                node.error(key, why)
            if timer.name in said:
                node.error(key, f"sets {timer.name} again: {said[timer.name]} does already")
            said[timer.name] = key
            found[timer.name] = ns
    return found


def _override(
    node: Node, profile: Profile, zones: Mapping[str, Any], apps: Mapping[str, Application]
) -> Override:
    timers = _timers(node.table("timers"), profile, "app")
    if not timers:
        node.error(
            "timers", "is missing: an override sets at least one timer", 'write timers.half_closed = "1h"'
        )
    if node.has("app"):
        for key in _KEYS:
            if node.has(key):
                node.error(key, "stands beside app", "say it in the application, or leave app out")
        name = node.text("app")
        try:
            application = named_application(name, apps)
        except UsageError as reason:
            node.error("app", str(reason))
            application = Application(name)
        node.finish()
        return Override(application, timers)
    written = [key for key in _KEYS if node.has(key)]
    if not written:
        node.error(
            "", "says of no application what it is for", 'write app = "ssh", ports = 22 or zone = "dmz"'
        )
    name = node.text("name", " ".join(str(node.values[key]) for key in written))
    return Override(read_application(node, name, zones), timers)


def _switches(node: Node, profile: Profile) -> dict[str, bool]:
    known = {switch.name: switch for switch in profile.switches}
    found = {}
    for key in node.values:
        if key in known:
            found[key] = node.flag(key)
        else:
            node.has(key)
            node.error(key, f"{profile.name} has no such switch", near(key, known))
    return found


def _readings(node: Node, profile: Profile) -> dict[str, str]:
    known = {fork.name: [reading.name for reading in fork.readings] for fork in profile.forks}
    found = {}
    for key in node.values:
        node.has(key)
        if key not in known:
            node.error(key, f"{profile.name} has no such open question", near(key, known))
            continue
        answer = node.text(key)
        if answer in known[key]:
            found[key] = answer
        else:
            node.error(key, f"{answer!r} is none of its readings", near(answer, known[key]))
    return found
