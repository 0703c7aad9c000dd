"""`lastack emulate`: a box that forgets sessions as a real firewall does, between two interfaces."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

import click

from lastack.cli.boxing import box_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from lastack.emulator.status import Status

_EPILOG = """\b
Examples:
  lastack emulate --profile panos_legacy --inside eth1 --outside eth2
  lastack emulate --profile panos --set half_closed=30s --app ssh.half_closed=1h --inside eth1 --outside eth2
  lastack emulate --policy branch.toml --speed 10 --log events.jsonl --inside eth1 --outside eth2
  lastack lab run emulator --box 'lastack emulate --profile panos_legacy --inside inside --outside outside'
  lastack emulate --profile broken_nat --nat outside --inside lan0 --outside wan0
  lastack emulator sessions --control /run/box.sock
"""


class _Ports(click.ParamType[tuple[int, int]]):
    name = "LOW-HIGH"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        low, dash, high = str(value).partition("-")
        if dash and low.isdigit() and high.isdigit() and 0 < int(low) <= int(high) <= 65_535:
            return int(low), int(high)
        self.fail(f"{value!r} is not a range of ports such as 10000-65535", param, ctx)


@click.command("emulate", epilog=_EPILOG)
@box_options
@click.option("--config", help="Zones and applications, as for other commands; none for none.")
@click.option("--inside", required=True, help="Interface towards the side that opens sessions.")
@click.option("--outside", required=True, help="The other interface.")
@click.option(
    "--speed", type=click.FloatRange(0.01, 10_000), default=1.0, show_default=True, help="Speed of its clock."
)
@click.option(
    "--both-ways", is_flag=True, help="Sessions may begin from either side, whatever the profile says."
)
@click.option(
    "--log", "log_file", type=click.Path(), help="Events of sessions as JSON lines; - is standard output."
)
@click.option("--control", default="", help="Path of a control socket for `lastack emulator`.")
@click.option("--tun", is_flag=True, help="Route through TUN devices; the interfaces keep their addresses.")
@click.option(
    "--nat",
    "nats",
    multiple=True,
    metavar="ADDRESS|outside",
    help="Hide the inside behind an address, or behind those of the outside interface (implies --tun).",
)
@click.option("--nat-ports", type=_Ports(), help="Ports of the NAT [default: 10000-65535].")
@click.option("--nat-per-session", is_flag=True, help="A port for each session, not for each inside end.")
@click.option("--nat-open", is_flag=True, help="Anybody outside may begin sessions with a mapped port.")
@click.option("-q", "--quiet", is_flag=True, help="No live view and no talk.")
def command(
    profile: str | None,
    policy: str | None,
    sets: tuple[str, ...],
    apps: tuple[str, ...],
    forks: tuple[str, ...],
    config: str | None,
    inside: str,
    outside: str,
    speed: float,
    both_ways: bool,
    log_file: str | None,
    control: str,
    tun: bool,
    nats: tuple[str, ...],
    nat_ports: tuple[int, int] | None,
    nat_per_session: bool,
    nat_open: bool,
    quiet: bool,
) -> None:
    """Stand between two interfaces and forget sessions as a firewall or NAT does.

    Frames are passed untouched (transparent, with segmentation offload); what meets no entry is dropped or reset as
    the profile says. With --tun the box is a router, with --nat a NAT. Needs CAP_NET_RAW (CAP_NET_ADMIN for a
    router); without root it runs in a network namespace of your own. SIGHUP reads the policy again and keeps the
    sessions.
    """
    from lastack.kernels import cache

    cache.prefer_numba()  # before anything imports kernels

    from lastack.app.boxes import BoxWords
    from lastack.app.emulate import EmulateOptions, EmulateRun, warm_up
    from lastack.app.nat import NatWords
    from lastack.cli.progress import prepare_inline

    def warn(line: str) -> None:
        if not quiet:
            click.echo(f"lastack: {line}", err=True)

    words = BoxWords(profile, policy, sets, apps, forks, config)
    with _opened(log_file) as log:
        nat = NatWords(nats, nat_ports or (10_000, 65_535), nat_per_session, nat_open) if nats else None
        if nat is None and (nat_ports or nat_per_session or nat_open):
            raise click.UsageError("--nat-ports, --nat-per-session and --nat-open go with --nat")
        options = EmulateOptions(
            inside, outside, speed, not both_ways, log, control, tun=tun or nat is not None, nat=nat
        )
        run = EmulateRun(words, options, warn)
        prepare_inline(quiet)
        warm_up(run.box)
        pace = "" if speed == 1 else f", {speed:g} times as fast"
        for line in run.remarks():
            warn(line)
        warn(f"{run.profile.title} between {inside} (inside) and {outside}{pace}; Ctrl-C ends it")
        with _view(quiet) as told:
            run.run(told)
        if not quiet:
            click.echo(_line(run.status()), err=True)


@contextlib.contextmanager
def _opened(path: str | None) -> Iterator[IO[str] | None]:
    if path is None:
        yield None
    elif path == "-":
        yield sys.stdout
    else:
        from lastack.model.errors import AccessError

        try:
            stream = open(path, "a", encoding="utf-8")  # noqa: PTH123, SIM115  (closed below)
        except OSError as error:
            raise AccessError(f"{path}: {error.strerror}") from error
        with stream:
            yield stream


@contextlib.contextmanager
def _view(quiet: bool) -> Iterator[Callable[[Status], None] | None]:
    """Yield what draws the live view; None when nobody would see it."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.live import Live

    from lastack.view.emulator import live_table

    with Live(console=Console(file=sys.stderr), refresh_per_second=4, transient=True) as live:
        yield lambda status: live.update(live_table(status))


def _line(status: Status) -> str:
    forwarded = sum(n for (action, _), n in status.packets.items() if action == "forwarded")
    lost = ", ".join(
        f"{n:,} {action} ({reason.replace('_', ' ')})"
        for (action, reason), n in sorted(status.packets.items())
        if action != "forwarded"
    )
    ended = ", ".join(f"{n:,} {why}" for why, n in sorted(status.ended.items()))
    text = f"lastack: {forwarded:,} segments passed"
    text += f", {lost}" if lost else ""
    return text + (f"; sessions: {ended}" if ended else "") + f"; {status.live:,} held"
