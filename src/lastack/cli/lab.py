"""`lastack lab`: a network on your desk, of real kernels, and what it is good for."""

from __future__ import annotations

import click

from lastack.cli.lazy import LazyGroup

VERBS: dict[str, tuple[str, str]] = {
    "run": ("lab_run", "Build client, box and server, and run a shell or a command in them."),
    "enter": ("lab_enter", "Run a shell or a command on a host of a lab that runs."),
    "list": ("lab_list", "Labs that run now."),
    "clean": ("lab_clean", "Remove what labs of killed programs have left."),
    "close": ("lab_close", "Make a capture of every way to open and close, with labels."),
    "traffic": ("lab_traffic", "Many flows between two programs, each with a full account."),
}

_EPILOG = """\b
Examples:
  lastack lab run direct                      a shell on the client; the server is at $LAB_SERVER
  lastack lab run nat --timer half_closed=10  the same behind a NAT that forgets
  lastack lab close --all -o closes.pcapng --verify
"""


@click.group("lab", cls=LazyGroup, verbs=VERBS, epilog=_EPILOG)
def command() -> None:
    """Networks of real Linux kernels on this machine: two hosts, and a router, firewall or NAT between them.

    They are made of network namespaces, need no root where the system allows user namespaces, do not touch the
    machine's own network, and go with the program that built them.
    """
