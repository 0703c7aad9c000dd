"""Finds firewall profiles: those that come with LastACK by name, people's own by path."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from lastack.firewall.problems import Problem, Severity, near, refuse
from lastack.firewall.profile import Profile
from lastack.firewall.schema import merged, parse_profile, turned
from lastack.model.errors import AccessError, InputError, UsageError

#: Environment variable with folders of people's own profiles, separated as in PATH.
VARIABLE = "LASTACK_PROFILES"
_MOST_BYTES = 1_000_000  # a profile is a few thousand; more is not one
_MOST_BASES = 8


@cache
def profile_names() -> tuple[str, ...]:
    """Return the names of the profiles that come with LastACK, sorted."""
    folder = files("lastack.firewall") / "profiles"
    names = (item.name for item in folder.iterdir())
    return tuple(sorted(name.removesuffix(".toml") for name in names if name.endswith(".toml")))


def own_profiles() -> dict[str, str]:
    """Return the paths of people's own profiles by name, those of every folder in $LASTACK_PROFILES.

    A file that is called like a shipped profile, or like one of an earlier folder, is not among them: a name
    never means something else than before because a file appeared.
    """
    found: dict[str, str] = {}
    for folder in filter(None, os.environ.get(VARIABLE, "").split(os.pathsep)):
        for path in sorted(Path(folder).glob("*.toml")):
            if path.stem not in profile_names():
                found.setdefault(path.stem, str(path))
    return found


def load_profile(
    name: str, readings: Mapping[str, str] | None = None, switches: Mapping[str, bool] | None = None
) -> Profile:
    """Return a profile.

    Args:
        name: One of `profile_names()` or `own_profiles()`, or the path of a file (it has a `/` or ends in `.toml`).
        readings: Answers to open questions, by name of the fork; the assumed ones for the rest.
        switches: Positions of the product's switches; their defaults for the rest.

    Raises:
        UsageError: There is no such profile, fork, reading or switch.
        InputError: A file is not a profile; the message has all mistakes with their places.
        AccessError: A file must not be read.
    """
    if is_path(name):
        profile = _checked(name)
    elif name in profile_names():
        profile = _shipped(name)
    else:
        own = own_profiles()
        if name not in own:
            hint = near(name, [*profile_names(), *own])
            raise UsageError(f"no profile is called {name!r}: {hint} (`lastack profiles` lists them)")
        profile = _checked(own[name])
    return turned(profile, readings or {}, switches or {}) if readings or switches else profile


def all_profiles() -> list[Profile]:
    """Return the profiles that come with LastACK, by name."""
    return [load_profile(name) for name in profile_names()]


def is_path(name: str) -> bool:
    """Return whether `--profile` was given a file rather than a name."""
    return "/" in name or name.endswith(".toml")


def check_profile(path: str) -> tuple[Profile, list[Problem], str]:
    """Return the profile of a file, what is wrong with it, and its text for telling the lines.

    Raises:
        InputError: It is not there, or not TOML.
        AccessError: It must not be read.
    """
    text, document = read_toml(path)
    problems: list[Problem] = []
    profile, found = parse_profile(_with_base(document, path, problems), Path(path).stem)
    return profile, [*problems, *found], text


def read_toml(path: str) -> tuple[str, dict[str, Any]]:
    """Return the text and the document of a TOML file.

    Raises:
        InputError: It is not there, too large, not UTF-8 or not TOML; the message says where.
        AccessError: It must not be read.
    """
    try:
        with Path(path).open("rb") as stream:
            raw = stream.read(_MOST_BYTES + 1)
        if len(raw) > _MOST_BYTES:
            raise InputError(f"{path}: has more than {_MOST_BYTES:,} bytes: not a file of settings")
        text = raw.decode("utf-8-sig")
        return text, tomllib.loads(text)
    except PermissionError:
        raise AccessError(f"{path}: no permission to read it") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not TOML: {error}") from None
    except RecursionError:
        raise InputError(f"{path}: tables are nested too deep") from None


def _checked(path: str) -> Profile:
    profile, problems, text = check_profile(path)
    refuse(problems, path, text)
    return profile


@cache
def _shipped(name: str) -> Profile:
    profile, problems = parse_profile(_with_base(_shipped_document(name), name, []), name, quick=True)
    refuse(problems, f"{name}.toml")
    return profile


def _shipped_document(name: str) -> dict[str, Any]:
    return tomllib.loads((files("lastack.firewall") / "profiles" / f"{name}.toml").read_text("utf-8"))


def _with_base(document: dict[str, Any], place: str, problems: list[Problem]) -> dict[str, Any]:
    """Return a document laid over its bases."""
    chain = [document]
    while "base" in chain[-1] and len(chain) <= _MOST_BASES:
        base = chain[-1]["base"]
        if isinstance(base, str) and base in profile_names():
            chain.append(_shipped_document(base))
        elif isinstance(base, str) and is_path(base):
            place = str(Path(place).parent / base)
            chain.append(read_toml(place)[1])
        else:
            hint = near(base, profile_names()) if isinstance(base, str) else "write the name of a profile"
            problems.append(Problem(Severity.error, "base", f"no profile is called {base!r}", hint))
            break
    if len(chain) > _MOST_BASES:
        problems.append(Problem(Severity.error, "base", "profiles are based on each other without end"))
    result: dict[str, Any] = {}
    for layer in reversed(chain):
        result = merged(result, layer)
    return result
