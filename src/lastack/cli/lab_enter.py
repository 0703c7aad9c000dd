"""`lastack lab enter`: a shell or a command on a host of a lab that another program holds."""

from __future__ import annotations

import os

import click

_EPILOG = """\b
Examples:
  lastack lab enter server                    when only one lab runs
  lastack lab enter nat-4711-1 box -- conntrack -L
"""


@click.command("enter", epilog=_EPILOG)
@click.argument("names", nargs=-1, required=True, metavar="[LAB] HOST [-- COMMAND...]")
def command(names: tuple[str, ...]) -> None:
    """Run COMMAND, or a shell, on HOST of a lab that runs: client, box or server."""
    from lastack.lab.enter import command_for
    from lastack.lab.registry import find, labs
    from lastack.model.errors import AccessError

    known = {lab.name for lab in labs()}
    lab = find(names[0]) if len(names) > 1 and names[0] in known else None
    host, *words = names[1:] if lab is not None else names
    line = command_for(lab or find(), host, words or [os.environ.get("SHELL") or "/bin/sh"])
    try:
        os.execvp(line[0], line)
    except FileNotFoundError as error:
        raise AccessError("there is no nsenter (apt-get install util-linux)") from error
