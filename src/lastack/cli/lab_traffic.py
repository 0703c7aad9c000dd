"""`lastack lab traffic`: many flows between two programs, each with a full account of both ends."""

from __future__ import annotations

import click

from lastack.cli.lazy import LazyGroup

VERBS: dict[str, tuple[str, str]] = {
    "serve": ("lab_traffic_serve", "The far end: serve flows to those who ask, within limits."),
    "run": ("lab_traffic_run", "The near end: run flows with a far end, and tell what became of each."),
}

_EPILOG = """\b
Examples:
  lastack lab traffic serve --token SECRET          on one machine
  lastack lab traffic run HOST --token SECRET       on the other
  lastack lab traffic run HOST --flows 200 --close half-close,when-finished --rate 1M
"""


@click.group("traffic", cls=LazyGroup, verbs=VERBS, epilog=_EPILOG)
def command() -> None:
    """Run TCP flows of given sizes, rates, directions and endings between two machines or two hosts of a lab.

    The two ends agree on a control connection, which either may open; so may either open the flows, through a NAT
    from inside or, where a port is forwarded, from outside.
    """
