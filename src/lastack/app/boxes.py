"""Makes the box that a command line describes: profile or policy file, settings, overrides, answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lastack.app.policies import load_applications, load_policy
from lastack.app.profiles import load_profile
from lastack.firewall.compile import compile_box
from lastack.firewall.policy import Policy
from lastack.firewall.profile import Profile
from lastack.firewall.settings import with_settings
from lastack.firewall.table import Box
from lastack.model.errors import UsageError


@dataclass(frozen=True, slots=True)
class BoxWords:
    """What a command line says about a box.

    Attributes:
        profile: Name or file of a profile; with a policy it may be left out.
        policy: File of a policy.
        sets: `NAME=VALUE` each, global.
        apps: `APP.NAME=VALUE` each.
        forks: `QUESTION=ANSWER` each.
        config: File of zones and applications, None for the usual places.
    """

    profile: str | None = None
    policy: str | None = None
    sets: tuple[str, ...] = ()
    apps: tuple[str, ...] = ()
    forks: tuple[str, ...] = ()
    config: str | None = None


def configured_policy(words: BoxWords) -> tuple[Policy, Profile]:
    """Return the policy that a command line describes, and its profile.

    Values out of the product's range are taken: a what-if asks what would be.

    Raises:
        UsageError: Something of it means nothing.
        InputError: A file cannot be read.
    """
    if words.policy is not None:
        policy, profile = load_policy(words.policy)
    elif words.profile is not None:
        profile = load_profile(words.profile)
        policy = Policy(profile.name, words.profile)
    else:
        raise UsageError("name a box: --profile panos (`lastack profiles` lists them), or --policy FILE")
    policy = with_settings(
        policy, profile, words.sets, words.apps, applications=load_applications(words.config), ranges=False
    )
    return replace(policy, readings={**policy.readings, **answers(words.forks, profile)}), profile


def make_box(words: BoxWords) -> tuple[Box, Profile, Policy]:
    """Return the box that a command line describes, with the profile and policy that it was made of.

    Raises:
        UsageError: Something of it means nothing, or the profile is a host.
        InputError: A file cannot be read.
    """
    policy, profile = configured_policy(words)
    return compile_box(profile, policy), profile, policy


def answers(forks: Sequence[str], profile: Profile) -> dict[str, str]:
    """Return the answers that `QUESTION=ANSWER` texts give.

    Raises:
        UsageError: One has another form.
    """
    out = {}
    for text in forks:
        question, equals, answer = text.partition("=")
        if not equals:
            raise UsageError(
                f"--fork {text}: write QUESTION=ANSWER; `lastack profiles show {profile.name}` lists them"
            )
        out[question.strip()] = answer.strip()
    return out
