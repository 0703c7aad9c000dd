"""`lastack config`: the zones and applications in force."""

from __future__ import annotations

import click

from lastack.cli.lazy import LazyGroup

VERBS: dict[str, tuple[str, str]] = {
    "check": ("config_check", "Every mistake in a configuration with its line, and what overlaps."),
    "show": ("config_show", "The zones and applications in force, in the order in which they are asked."),
    "explain": ("config_explain", "Which zone and application an address and port get, and why."),
}
_EPILOG = """\b
Examples:
  lastack config check lastack.toml
  lastack config show
  lastack config explain 10.1.2.3:443 --client 10.9.0.5

\b
A configuration:
  [zones.dmz]
  cidr = ["192.0.2.0/24", "2001:db8:1::/48"]
  vlan = [10, "20-29"]             optional
  priority = 10                    optional: zones with smaller ones are asked first (100)
  [apps.web]
  ports = [80, 443, "8000-8800"]   of the server
  server_zone = "dmz"              optional, as client_zone; one name or several
"""


@click.group("config", cls=LazyGroup, verbs=VERBS, epilog=_EPILOG)
def command() -> None:
    """Check and explain zones and applications.

    The file is the one of --config, else that of $LASTACK_CONFIG, else lastack.toml in the current folder. The first
    zone that fits an address is its zone; the most precise application that fits a session is its application.
    """
