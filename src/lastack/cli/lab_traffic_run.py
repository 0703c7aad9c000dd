"""`lastack lab traffic run`: the near end of the traffic generator."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from lastack.cli.common import Duration, PositiveCount
from lastack.cli.lab_traffic_options import Rate, Several, Size, port_of

if TYPE_CHECKING:
    from lastack.lab.traffic import FlowReport, Runner

_EPILOG = """\b
Examples:
  lastack lab traffic run server                        ten flows, 1 MB each from there to here
  lastack lab traffic run server --flows 200 --size 100kB,10MB --rate 2M --direction both
  lastack lab traffic run server --close half-close,when-finished --rate 400k --size 1MB
  lastack lab traffic run server --size 10kB --direction both --close half-close --think 30s
                                                        as `ssh host sort`: the answer comes late
  lastack lab traffic run --wait --opener far           be dialled by `traffic serve --connect` from inside a NAT
"""
_HELP = """Run flows with `lastack lab traffic serve` on HOST, and tell what became of each.

\b
--close half-close     each end sends its FIN as soon as its own data is out, and goes on receiving
--close when-finished  each end sends its FIN only when all data of both directions has arrived
--close rst            when all data has arrived, this end resets the connection

Values separated by commas are dealt out in turn. This end is near, HOST is far; up is from near to far. A rate is of
each flow and direction. The exit code is 1 if a flow did not do all that was planned.
"""


@click.command("run", help=_HELP, epilog=_EPILOG)
@click.argument("target", required=False, metavar="HOST[:PORT]")
@click.option("--wait", is_flag=True, help="Wait for a far end that dials out to us, instead of connecting.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=5252,
    show_default=True,
    help="Port of the far end, or with --wait ours.",
)
@click.option("--flows", type=PositiveCount(), default=10, show_default=True)
@click.option(
    "--size", "sizes", type=Several(Size()), default="1MB", show_default=True, help="Of each direction."
)
@click.option("--reply-size", "reply_sizes", type=Several(Size()), help="Downwards, where it differs.")
@click.option(
    "--rate", "rates", type=Several(Rate()), default="0", help="Bits a second (default: what TCP gives)."
)
@click.option("--every", type=Duration(), help="Send the rate in bursts this far apart (default: evenly).")
@click.option(
    "--direction",
    "directions",
    type=Several(click.Choice(["up", "down", "both"])),
    default="down",
    show_default=True,
)
@click.option(
    "--close",
    "closes",
    type=Several(click.Choice(["half-close", "when-finished", "rst"])),
    default="when-finished",
    show_default=True,
)
@click.option(
    "--opener", type=click.Choice(["near", "far"]), help="Who connects (default: near; with --wait far)."
)
@click.option(
    "--think", type=Duration(), help="The far end begins to send this long after near's data has come."
)
@click.option(
    "--hold", type=Duration(), help="Silence between the end of the data and the last FIN or the RST."
)
@click.option(
    "--stall",
    type=Duration(),
    default="5s",
    show_default=True,
    help="A flow without progress for this long, beyond its own pauses, has stopped.",
)
@click.option(
    "--start-rate", type=PositiveCount(), default=200, show_default=True, help="Flows begun a second."
)
@click.option("--parallel", type=PositiveCount(), help="Flows open at a time (default: no limit).")
@click.option(
    "--data-port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Port on which we listen for flows that far opens (default: any).",
)
@click.option(
    "--token", envvar="LASTACK_TOKEN", default="", help="Secret that the far end asks for [LASTACK_TOKEN]."
)
@click.option(
    "--patience",
    type=Duration(),
    default="10s",
    show_default=True,
    help="How long to try to reach the far end; with --wait how long to wait for it.",
)
@click.option(
    "--format", "form", type=click.Choice(["table", "json", "csv"]), default="table", show_default=True
)
@click.option("--all", "everything", is_flag=True, help="Every flow in the table, not the first 20.")
@click.option("-q", "--quiet", is_flag=True, help="No progress, no notes.")
def command(
    target: str | None,
    wait: bool,
    port: int,
    flows: int,
    sizes: tuple[int, ...],
    reply_sizes: tuple[int, ...] | None,
    rates: tuple[int, ...],
    every: int | None,
    directions: tuple[str, ...],
    closes: tuple[str, ...],
    opener: str | None,
    think: int | None,
    hold: int | None,
    stall: int,
    start_rate: int,
    parallel: int | None,
    data_port: int,
    token: str,
    patience: int,
    form: str,
    everything: bool,
    quiet: bool,
) -> int:
    """Run flows and report them."""
    from lastack.lab.traffic import Runner, deal
    from lastack.model.errors import UsageError

    if (target is None) != wait:
        raise UsageError("name the far end, or --wait for it")
    plans = deal(
        flows,
        sizes=sizes,
        reply_sizes=reply_sizes or (),
        rates_bps=rates,
        directions=directions,
        closes=closes,
        every_ns=every or 0,
        opener=opener or ("far" if wait else "near"),
        think_ns=-1 if think is None else think,
        hold_ns=hold or 0,
    )
    with _shown_progress(quiet) as progress:
        runner = Runner(
            plans,
            token=token,
            stall_ns=stall,
            start_rate=start_rate,
            parallel=parallel or 0,
            data_port=data_port,
            progress=progress,
        )
        interrupted = _run(runner, target, port, patience / 1e9, quiet)
    reports = runner.reports
    for note in runner.notes:
        click.echo(f"lastack: {note}", err=True)
    _write(reports, form, everything, runner.clock_error_ns)
    if interrupted:
        return 130
    return 0 if all(report.finding().outcome == "done" for report in reports) else 1


def _run(runner: Runner, target: str | None, port: int, patience_s: float, quiet: bool) -> bool:
    """Run the flows and return whether they were interrupted: what became of them until then is worth telling."""
    import asyncio

    def on_open(ours: int) -> None:
        if not quiet:
            click.echo(f"lastack: waiting at port {ours} for `lastack lab traffic serve --connect`", err=True)

    if target is None:
        running = runner.run_when_called("", port, on_open, patience_s)
    else:
        running = runner.run(*port_of(target, port), patience_s)
    try:
        asyncio.run(running)
        return False
    except KeyboardInterrupt:
        if not any(report.near.begun_ns for report in runner.reports):
            raise
        for report in runner.reports:
            if report.near.outcome == "unknown":
                report.near.outcome = "cancelled"
        return True


def _write(reports: Sequence[FlowReport], form: str, everything: bool, clock_error_ns: int) -> None:
    from lastack.view.traffic import flows_csv, flows_json, render_flows

    if form == "csv":
        sys.stdout.write(flows_csv(reports))
    elif form == "json":
        sys.stdout.write(flows_json(reports, clock_error_ns))
    else:
        sys.stdout.write(render_flows(reports, None if everything else 20))


@contextmanager
def _shown_progress(quiet: bool) -> Iterator[Callable[[int, Sequence[FlowReport]], None]]:
    if quiet or not sys.stderr.isatty():
        yield lambda _ended, _reports: None
        return

    def show(ended: int, reports: Sequence[FlowReport]) -> None:
        click.echo(f"\r\x1b[K{ended}/{len(reports)} flows", err=True, nl=False)

    try:
        yield show
    finally:
        click.echo("\r\x1b[K", err=True, nl=False)
