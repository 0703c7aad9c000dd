"""`lastack profiles`: what is known of firewalls, NATs, load balancers and hosts."""

from __future__ import annotations

import sys
from typing import Any

import click

from lastack.cli.lazy import LazyGroup

VERBS: dict[str, tuple[str, str]] = {
    "list": ("profiles_list", "The systems, and how long each keeps a half-closed session."),
    "show": ("profiles_show", "Every timer of one system, its sources, what is not known."),
    "check": ("profiles_check", "Check profiles of your own."),
}
_EPILOG = """\b
Examples:
  lastack profiles                          the list
  lastack profiles show panos               every timer with source and confidence
  lastack profiles show linux_conntrack --format json
  lastack profiles check mybox.toml         exact errors in a file of your own
"""


class _ListsByDefault(LazyGroup):
    """`lastack profiles` alone lists them."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take no words, or options only, as those of `list`."""
        helped = {"-h", "--help"} & set(args)
        if not helped and (not args or args[0].startswith("-")):
            args = ["list", *args]
        return super().parse_args(ctx, args)


@click.group("profiles", cls=_ListsByDefault, verbs=VERBS, epilog=_EPILOG)
def command() -> None:
    """Show what is known of firewalls, NATs, load balancers and hosts that time out TCP sessions."""


def write_json(value: Any) -> None:
    """Write a value as JSON to standard output."""
    import json

    sys.stdout.write(json.dumps(value, indent=1, ensure_ascii=False) + "\n")
