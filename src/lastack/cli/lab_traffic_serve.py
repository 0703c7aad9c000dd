"""`lastack lab traffic serve`: the far end of the traffic generator."""

from __future__ import annotations

import click

from lastack.cli.common import PositiveCount
from lastack.cli.lab_traffic_options import Size, port_of

_EPILOG = """\b
Examples:
  lastack lab traffic serve
  lastack lab traffic serve --listen 192.0.2.2 --port 7000 --token SECRET
  lastack lab traffic serve --connect 192.0.2.2      from behind a NAT: dial out to a run that waits
"""


@click.command("serve", epilog=_EPILOG)
@click.option("--listen", "address", default="", help="Address to listen at (default: all, IPv4 and IPv6).")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=5252, show_default=True, help="Port, 0 for any."
)
@click.option("--connect", "target", metavar="HOST[:PORT]", help="Dial out to `traffic run --wait` there.")
@click.option(
    "--data-port",
    type=click.IntRange(0, 65535),
    help="With --connect: also listen here, for flows that the other end opens.",
)
@click.option(
    "--token", envvar="LASTACK_TOKEN", default="", help="Secret that the other end must know [LASTACK_TOKEN]."
)
@click.option("--max-tests", type=PositiveCount(), default=8, show_default=True, help="Tests at a time.")
@click.option(
    "--max-flows", type=PositiveCount(), default=10_000, show_default=True, help="Flows of one test."
)
@click.option(
    "--max-open", type=PositiveCount(), default=4_000, show_default=True, help="Flows open at a time."
)
@click.option("--max-size", type=Size(), default="1TB", show_default=True, help="Payload of one flow.")
@click.option(
    "--max-time", type=PositiveCount(), default=3600, show_default=True, help="Seconds of one test."
)
@click.option("-q", "--quiet", is_flag=True, help="Errors only.")
def command(
    address: str,
    port: int,
    target: str | None,
    data_port: int | None,
    token: str,
    max_tests: int,
    max_flows: int,
    max_open: int,
    max_size: int,
    max_time: int,
    quiet: bool,
) -> int:
    """Serve flows to `lastack lab traffic run`, until interrupted.

    What comes is counted and thrown away; it connects to nobody but who runs the test. Without a token, anyone who
    reaches the port may run flows within the limits.
    """
    import asyncio

    from lastack.lab.netns import LabError
    from lastack.lab.traffic import Agent, Limits
    from lastack.lab.traffic.control import reason

    def tell(line: str) -> None:
        if not quiet:
            click.echo(f"lastack: {line}", err=True)

    async def serve() -> None:
        agent = Agent(
            token=token, limits=Limits(max_tests, max_flows, max_open, max_size, max_time), tell=tell
        )
        try:
            if target:
                host, far_port = port_of(target, port)
                if data_port is not None:
                    await agent.listen(address, data_port)
                try:
                    await agent.dial_out(host, far_port)
                except OSError as error:
                    why = f"{host} port {far_port}: {reason(error)}"
                    raise LabError(f"{why}; start `lastack lab traffic run --wait` there") from error
                return
            tell(f"serving at port {await agent.listen(address, port)}")
            if not token:
                tell("no --token: whoever reaches this port may run flows")
            await asyncio.Event().wait()
        finally:
            await agent.close()

    asyncio.run(serve())
    return 0
