"""Where the configuration file is found: every command asks, and most find none and need no more of it."""

from __future__ import annotations

import os
from pathlib import Path

from lastack.model.errors import UsageError

#: Name of the file that is used when it lies in the current folder.
NAME = "lastack.toml"
#: Environment variable that names the file.
VARIABLE = "LASTACK_CONFIG"
#: What `--config` and the variable say for no configuration at all.
NONE = "none"


def find_config(given: str | None = None) -> str | None:
    """Return the configuration file in force: the one given, that of $LASTACK_CONFIG, `lastack.toml` here, or None.

    Args:
        given: What the user named, `none` for no configuration.
    """
    named = given if given is not None else os.environ.get(VARIABLE) or None
    if named is not None:
        return None if named == NONE else named
    return NAME if Path(NAME).is_file() else None


def needed_config(given: str | None = None) -> str:
    """Return the configuration file in force.

    Raises:
        UsageError: There is none.
    """
    path = find_config(given)
    if path is None:
        raise UsageError(f"no configuration: name a file, set {VARIABLE}, or write {NAME} in this folder")
    return path
