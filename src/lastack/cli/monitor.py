"""`lastack monitor`: asks targets again and again whether they answer a SYN, and serves metrics."""

from __future__ import annotations

import sys

import click

_EPILOG = """\b
Examples:
  lastack monitor targets.toml                        changes of state as JSON lines
  lastack monitor targets.toml --listen 127.0.0.1:9115    with /metrics and /probe
  lastack monitor targets.toml --check                is the configuration right?
\b
A configuration:
  [monitor]
  listen = "127.0.0.1:9115"
  on_change = ["/usr/local/bin/notify"]     # LASTACK_TARGET, LASTACK_AFTER, ... in its environment
  [defaults]
  interval = "5s"
  down_after = 3
  [[target]]
  host = "192.0.2.7"
  ports = [80, 443]
  group = "web"
"""


@click.command("monitor", epilog=_EPILOG)
@click.argument("config", type=click.Path())
@click.option("--check", is_flag=True, help="Check the configuration and stop.")
@click.option("--listen", help="Address and port for /metrics and /probe; overrides the configuration.")
@click.option("-q", "--quiet", is_flag=True, help="Nothing on standard error but errors.")
def command(config: str, check: bool, listen: str | None, quiet: bool) -> None:
    """Watch whether targets accept connections, without ever opening one.

    SYN, SYN-ACK means up, RST: the application sees nothing, nothing stays in SYN_RECV. Refused (RST), unreachable
    (ICMP, with type and code) and filtered (silence) are told apart. Needs CAP_NET_RAW; without it whole handshakes
    are made, and said.
    """
    from dataclasses import replace

    from lastack.app.monitor_config import load_monitor
    from lastack.model.errors import UsageError

    loaded = load_monitor(config)
    if listen is not None:
        loaded = replace(loaded, listen=listen)
    if check:
        groups = {target.group for target in loaded.targets if target.group}
        click.echo(
            f"{config}: {len(loaded.targets)} targets in {len(groups)} groups, {len(loaded.modules)} modules"
        )
        return
    if not loaded.targets and not loaded.listen:
        raise UsageError(f"{config}: no [[target]] to watch, and no listen address to serve /probe on")
    from lastack.app.monitor import MonitorRun

    def say(line: str) -> None:
        click.echo(line)
        sys.stdout.flush()

    def warn(line: str) -> None:
        if not quiet:
            click.echo(f"lastack: {line}", err=True)

    run = MonitorRun(loaded, say, warn)
    warn(f"{len(loaded.targets)} targets; Ctrl-C ends it")
    run.run()
