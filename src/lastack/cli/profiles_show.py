"""`lastack profiles show`: everything about one system."""

from __future__ import annotations

import sys

import click

from lastack.cli.profiles import write_json

_EPILOG = """\b
Examples:
  lastack profiles show panos
  lastack profiles show ./mybox.toml
  lastack profiles show juniper_srx --set apply_to_half_close_state=on
  lastack profiles show panos --fork closing_refresh=idle
"""


@click.command("show", epilog=_EPILOG)
@click.argument("name")
@click.option("--set", "sets", multiple=True, metavar="SWITCH=on|off", help="Turn a switch of the product.")
@click.option(
    "--fork",
    "forks",
    multiple=True,
    metavar="NAME=READING",
    help="Take another reading of what is not known.",
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(name: str, sets: tuple[str, ...], forks: tuple[str, ...], form: str) -> None:
    """Show every timer of a system with its source, what is not known, and what the model cannot express.

    NAME is one of `lastack profiles`, or a file of your own.
    """
    from lastack.app.profiles import load_profile
    from lastack.view.profiles import profile_json, render_profile

    switches = {key: _position(key, value) for key, value in map(_pair, sets)}
    profile = load_profile(name, dict(map(_pair, forks)), switches)
    if form == "json":
        write_json(profile_json(profile))
    else:
        sys.stdout.write(render_profile(profile))


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.UsageError(f"{text!r} is not NAME=VALUE")
    return name.strip().replace("-", "_"), value.strip()


def _position(name: str, value: str) -> bool:
    if value not in ("on", "off"):
        raise click.UsageError(f"--set {name}={value}: a switch is on or off; durations are set in a policy")
    return value == "on"
