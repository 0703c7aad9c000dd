"""`lastack probe`: tests of a real path and of this host."""

from __future__ import annotations

import click

from lastack.cli.lazy import LazyGroup

VERBS: dict[str, tuple[str, str]] = {
    "path": ("probe_path", "What a path does to half-closed and idle connections, and after how long."),
    "responder": ("probe_responder", "The far end of a path test: one port, no privileges."),
    "syn": ("probe_syn", "Whether targets answer a SYN, without opening a connection: ping for TCP."),
    "host": ("probe_host", "How long this host keeps closing and idle connections, and what that means."),
}


_EPILOG = """\b
Examples:
  lastack probe responder                 at the far end
  lastack probe path HOST                 at this end: about three minutes
  lastack probe syn www.example.net:443   does it answer a SYN?
  lastack probe host                      this host's own closing timers
"""


@click.group("probe", cls=LazyGroup, verbs=VERBS, epilog=_EPILOG)
def command() -> None:
    """Test a real path: whether half-close survives it, and for how long.

    Run `lastack probe responder` at one end and `lastack probe path HOST` at the other.
    """
