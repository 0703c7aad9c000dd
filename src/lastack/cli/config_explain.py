"""`lastack config explain`: which zone and application an end gets, and why."""

from __future__ import annotations

import sys

import click

_EPILOG = """\b
Examples:
  lastack config explain 10.1.2.3:443
  lastack config explain 10.1.2.3:443 --client 10.9.0.5 --vlan 20
  lastack config explain '[2001:db8::5]:443' --config zones.toml
"""


@click.command("explain", epilog=_EPILOG)
@click.argument("server", metavar="ADDRESS[:PORT]")
@click.option("--client", metavar="ADDRESS", help="The other end.")
@click.option(
    "--vlan", type=click.IntRange(0, 4095), default=0, help="VLAN that the session was seen on (0: no tag)."
)
@click.option("--config", "file", metavar="FILE", help="The configuration (default: the one in force).")
def command(server: str, client: str | None, vlan: int, file: str | None) -> None:
    """Say which zone a server's address is in and which application its port is, with every entry that was asked."""
    from lastack.app.config import load_classes
    from lastack.app.config_place import needed_config
    from lastack.model.address import parse_address
    from lastack.model.errors import UsageError
    from lastack.view.zones import render_explanation

    address, port = _ends(server)
    try:
        server_ip = parse_address(address)
        client_ip = parse_address(client) if client is not None else None
    except ValueError as reason:
        raise UsageError(f"{reason}: write 10.1.2.3:443, or '[2001:db8::5]:443'") from None
    classes = load_classes(needed_config(file))
    sys.stdout.write(render_explanation(classes, server_ip, port, client_ip, vlan))


def _ends(text: str) -> tuple[str, int | None]:
    """Return the address and the port of `10.1.2.3:443`, `[2001:db8::5]:443`, or either without the port."""
    from lastack.model.errors import UsageError

    address, port = text, ""
    if text.startswith("["):
        address, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    elif text.count(":") == 1:
        address, _, port = text.partition(":")
    if port and not (port.isascii() and port.isdigit() and int(port) <= 65_535):
        raise UsageError(f"{port!r} is no port: it is a number up to 65535")
    return address, int(port) if port else None
