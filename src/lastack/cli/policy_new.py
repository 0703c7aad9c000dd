"""`lastack policy new`: a file to start from."""

from __future__ import annotations

import click

_EPILOG = """\b
Examples:
  lastack policy new panos -o policy.toml
  lastack policy new linux_conntrack
"""


@click.command("new", epilog=_EPILOG)
@click.argument("profile")
@click.option("-o", "--output", default="-", metavar="FILE", help="Where to; standard output by default.")
def command(profile: str, output: str) -> None:
    """Write a policy for a system: every timer that can be set, at its default, commented out."""
    from lastack.app.profiles import load_profile
    from lastack.store.target import Target
    from lastack.view.policy import template

    text = template(load_profile(profile))
    target = Target(output)
    try:
        target.stream.write(text.encode())
        target.commit()
    finally:
        target.discard()
