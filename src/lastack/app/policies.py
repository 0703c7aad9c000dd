"""Reads policies from files, with the profile and the applications that they name."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lastack.app.config_place import find_config
from lastack.app.profiles import is_path, load_profile, read_toml
from lastack.firewall.application import Application, read_applications, read_zones
from lastack.firewall.commit import commit_check
from lastack.firewall.compile import resolved
from lastack.firewall.document import Node
from lastack.firewall.policy import Policy
from lastack.firewall.policy_schema import parse_policy
from lastack.firewall.problems import Problem, Severity, refuse
from lastack.firewall.profile import Profile
from lastack.firewall.settings import timers_of
from lastack.model.errors import InputError, LastackError


@dataclass(frozen=True, slots=True)
class Candidate:
    """A policy file as it was read.

    Attributes:
        path: The file.
        source: Its text, for telling lines.
        policy: What it configures; of use only if there is no error.
        profile: The system that it configures.
        problems: Errors, warnings and notes.
    """

    path: str
    source: str
    policy: Policy
    profile: Profile
    problems: tuple[Problem, ...]

    @property
    def usable(self) -> bool:
        """Whether no problem is an error."""
        return all(problem.severity is not Severity.error for problem in self.problems)


def check_policy(path: str) -> Candidate:
    """Return a policy with everything there is to say about it; only an unreadable file raises.

    Raises:
        InputError: It is not there, is not TOML, or its profile cannot be used.
        AccessError: It must not be read.
    """
    source, document = read_toml(path)
    reference = document.get("profile")
    if not isinstance(reference, str):
        raise InputError(
            f'{path}: profile: is missing; write profile = "panos" (`lastack profiles` lists them)'
        )
    try:
        profile = load_profile(_beside(path, reference))
    except LastackError as reason:
        raise InputError(f"{path}: profile: {reason}") from None
    policy, problems = parse_policy(document, profile, Path(path).stem, _applications(path, document))
    if all(problem.severity is not Severity.error for problem in problems):
        turned = resolved(profile, policy)
        problems += [_as_written(problem, document, turned) for problem in commit_check(policy, profile)]
    policy = replace(policy, profile=_beside(path, reference))
    return Candidate(path, source, policy, profile, tuple(problems))


def load_policy(path: str) -> tuple[Policy, Profile]:
    """Return a policy that can be used and its profile.

    Raises:
        InputError: It cannot be read or has errors; the message has all of them with their places.
        AccessError: It must not be read.
    """
    candidate = check_policy(path)
    refuse(candidate.problems, path, candidate.source)
    return candidate.policy, candidate.profile


def _as_written(problem: Problem, document: dict[str, Any], profile: Profile) -> Problem:
    """Return a problem of a timer under the key that the file has for it: `half_closed` for `tcp_half_closed`."""
    parent, _, name = problem.path.rpartition(".")
    if parent == "timers":
        table = document.get("timers", {})
    elif parent.endswith("].timers") and parent.startswith("override["):
        number = int(parent[len("override[") : -len("].timers")])
        table = document["override"][number - 1]["timers"]
    else:
        return problem
    written = [key for key in table if name in {timer.name for timer in timers_of(profile, key)}]
    return replace(problem, path=f"{parent}.{written[0]}") if written else problem


def load_applications(config: str | None = None) -> dict[str, Application]:
    """Return the applications of the configuration in force by name, for `--app NAME.TIMER=VALUE`.

    Args:
        config: As `--config`: a file, `none`, or None for the usual places.

    Raises:
        InputError: It has mistakes; all of them are told.
        AccessError: It must not be read.
    """
    path = find_config(config)
    if path is None:
        return {}
    source, document = read_toml(path)
    problems: list[Problem] = []
    root = Node(_classes(document), "", problems)
    found = read_applications(root, read_zones(root))
    refuse(problems, path, source)
    return found


def _applications(path: str, document: dict[str, Any]) -> dict[str, Any] | None:
    """Return the zones and applications of `applications = "apps.toml"`, else of the configuration in force."""
    name = document.get("applications")
    if isinstance(name, str):
        return _classes(read_toml(str(Path(path).parent / name))[1])
    config = find_config()
    return _classes(read_toml(config)[1]) if config else None


def _classes(document: dict[str, Any]) -> dict[str, Any]:
    return {key: document[key] for key in ("zones", "apps") if key in document}


def _beside(path: str, reference: str) -> str:
    return str(Path(path).parent / reference) if is_path(reference) else reference
