"""The options that describe a box, for every command that has one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--profile", metavar="NAME", help="The box: a profile or its file (`lastack profiles` lists them)."
    ),
    click.option("--policy", metavar="FILE", help="The box as a policy file configures it."),
    click.option(
        "--set", "sets", multiple=True, metavar="NAME=VALUE", help="Set a timer, such as half_closed=30s."
    ),
    click.option(
        "--app",
        "apps",
        multiple=True,
        metavar="APP.NAME=VALUE",
        help="Set it for an application, a service or ports.",
    ),
    click.option(
        "--fork", "forks", multiple=True, metavar="QUESTION=ANSWER", help="Answer an open question."
    ),
)


def box_options(command: F) -> F:
    """Add the options of a box; the command takes `profile`, `policy`, `sets`, `apps` and `forks`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
