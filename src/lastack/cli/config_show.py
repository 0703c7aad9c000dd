"""`lastack config show`: the zones and applications in force."""

from __future__ import annotations

import sys

import click

_EPILOG = """\b
Examples:
  lastack config show
  lastack config show zones.toml
"""


@click.command("show", epilog=_EPILOG)
@click.argument("file", required=False)
def command(file: str | None) -> None:
    """Show zones and applications in the order in which they are asked: the first one that fits is taken."""
    from lastack.app.config import load_classes
    from lastack.app.config_place import needed_config
    from lastack.view.zones import render_classes

    sys.stdout.write(render_classes(load_classes(needed_config(file))))
