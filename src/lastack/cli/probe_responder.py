"""`lastack probe responder`: the far end of a path test."""

from __future__ import annotations

import signal
import sys

import click

from lastack.cli.common import Duration, PositiveCount

_EPILOG = """\b
Examples:
  lastack probe responder                             port 7011, every address
  lastack probe responder --port 443 --address 192.0.2.7
  LASTACK_TOKEN=secret lastack probe responder        only runners that know it
"""
DEFAULT_PORT = 7011


@click.command("responder", epilog=_EPILOG)
@click.option("-p", "--port", type=click.IntRange(0, 65535), default=DEFAULT_PORT, show_default=True)
@click.option("--address", default="::", show_default=True, help="Where to listen; :: is every address.")
@click.option(
    "--token",
    envvar="LASTACK_TOKEN",
    default="",
    help="A secret that runners must know (better in LASTACK_TOKEN, where `ps` does not show it).",
)
@click.option(
    "--max-connections",
    type=PositiveCount(),
    default=8192,
    show_default=True,
    help="At once, of all sources.",
)
@click.option(
    "--max-per-source", type=PositiveCount(), default=4096, show_default=True, help="At once, of one address."
)
@click.option("--longest", type=Duration(), default="2h30m", show_default=True, help="Longest wait allowed.")
@click.option(
    "--allow-reverse",
    is_flag=True,
    help="Open connections back to who asks for it: to its own address, after it has proved that it listens.",
)
@click.option(
    "--raw-port",
    type=click.IntRange(0, 65535),
    help="Port for raw segments, with CAP_NET_RAW (default: the next after --port).",
)
@click.option("--no-raw", is_flag=True, help="Do without raw segments.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing about runs.")
def command(
    port: int,
    address: str,
    token: str,
    max_connections: int,
    max_per_source: int,
    longest: int,
    allow_reverse: bool,
    raw_port: int | None,
    no_raw: bool,
    quiet: bool,
) -> None:
    """Answer path tests until Ctrl-C.

    Safe to leave open: it connects nowhere (with --allow-reverse only back to who asks), sends nothing before it is
    asked over an established connection, and spends bounded connections, memory and time. The port is printed on
    standard output when it is ready. With CAP_NET_RAW a second port serves the tests that need raw segments.
    """
    from lastack.prober.extras import extras_of
    from lastack.prober.limits import Limits
    from lastack.prober.loop import Loop, allow_descriptors
    from lastack.prober.responder import Responder

    allow_descriptors(max_connections + 100)
    loop = Loop()
    limits = Limits(connections=max_connections, per_source=max_per_source, wait_ns=longest)

    def told(line: str) -> None:
        if not quiet:
            click.echo(f"lastack: {line}", err=True)

    raw = None if no_raw else (raw_port if raw_port is not None else (port + 1) % 65_536 if port else 0)
    extras = extras_of(loop, address, limits, raw, reverse=allow_reverse)
    if extras.raw is None and not no_raw:
        told(f"no raw segments: {extras.raw_why}")
    responder = Responder(loop, address, port, token, limits, told, extras)
    signal.signal(signal.SIGTERM, lambda *_: loop.stop())
    click.echo(responder.port)
    sys.stdout.flush()
    if not quiet:
        guard = "with a token" if token else "open to everybody who reaches it; --token to restrict"
        click.echo(
            f"lastack: responding on {address} port {responder.port}, {guard}; Ctrl-C ends it", err=True
        )
    try:
        loop.run()
    except KeyboardInterrupt:
        pass
    finally:
        responder.close()
        loop.close()
    if not quiet:
        counts = responder.counts
        click.echo(f"lastack: {counts.trials:,} trials, {counts.accepted:,} connections", err=True)
