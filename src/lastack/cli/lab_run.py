"""`lastack lab run`: builds a lab, runs a shell or a command in it, and takes it away."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

import click

from lastack.cli.common import Duration

if TYPE_CHECKING:
    from lastack.lab.topology import Lab

_EPILOG = """\b
Examples:
  lastack lab run direct
  lastack lab run nat --timer half_closed=10 -- curl http://192.0.2.2/
  lastack lab run nat --half-closed-life 2s --server 'nc -l -p 80' --capture nat.pcapng
  lastack lab run direct -- sh -c 'on-server ss -tn; ss -tn'
  lastack lab run emulator --box 'lastack emulate --inside inside --outside outside'

\b
In the lab, on-client, on-box and on-server run a command on that host; LAB_CLIENT, LAB_BOX, LAB_SERVER and
LAB_CLIENT6 ... are addresses. From elsewhere: lastack lab enter NAME HOST.
"""

_HELP = """Build a lab of TOPOLOGY, run COMMAND (or a shell) on one of its hosts, and take the lab away.

\b
direct    client and server on one cable
router    a Linux router between them
firewall  a Linux firewall: conntrack with timers of your choice
nat       a Linux NAT, the same with masquerading
emulator  an empty box with interfaces inside and outside: run what stands there with --box

The exit code is that of COMMAND. Without a terminal and without COMMAND the lab stays until it is interrupted.
Nothing stays behind, also when this program is killed.
"""


class _Timer(click.ParamType[tuple[str, int]]):
    name = "NAME=SECONDS"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        if isinstance(value, tuple):
            return value
        name, found, seconds = str(value).partition("=")
        if not found or not seconds.removesuffix("s").isdigit():
            self.fail(f"{value!r} is not NAME=SECONDS, such as half_closed=10", param, ctx)
        return name, int(seconds.removesuffix("s"))


@click.command("run", help=_HELP, epilog=_EPILOG)
@click.argument("topology", type=click.Choice(["direct", "router", "firewall", "nat", "emulator"]))
@click.argument("words", nargs=-1, metavar="[-- COMMAND...]")
@click.option(
    "--on",
    "host",
    type=click.Choice(["client", "box", "server"]),
    default="client",
    show_default=True,
    help="Host on which the command or the shell runs.",
)
@click.option(
    "--timer",
    "timers",
    type=_Timer(),
    multiple=True,
    help="Timer of the firewall or NAT: half_closed, established, time_wait ... of Linux's conntrack. "
    "They count silence.",
)
@click.option(
    "--half-closed-life",
    type=Duration(),
    help="Forget a session this long after its first FIN, however busy it is.",
)
@click.option(
    "--expired",
    type=click.Choice(["silent", "reset"]),
    default="silent",
    show_default=True,
    help="What answers packets of a forgotten session.",
)
@click.option("--loose", is_flag=True, help="Let mid-stream packets open sessions, as Linux does by default.")
@click.option(
    "--forward",
    "forwards",
    type=click.IntRange(1, 65535),
    multiple=True,
    help="Port of the NAT's outside address that leads to the client.",
)
@click.option(
    "--client", "client_jobs", multiple=True, metavar="COMMAND", help="Runs on the client meanwhile."
)
@click.option("--box", "box_jobs", multiple=True, metavar="COMMAND", help="Runs in the box meanwhile.")
@click.option(
    "--server", "server_jobs", multiple=True, metavar="COMMAND", help="Runs on the server meanwhile."
)
@click.option("--routed", is_flag=True, help="Topology emulator: give the box addresses and routes.")
@click.option("--capture", "capture", metavar="FILE", help="Write what passes as pcapng.")
@click.option(
    "--at",
    "places",
    type=click.Choice(["client", "box", "server"]),
    multiple=True,
    default=["client"],
    show_default=True,
    help="Where to capture.",
)
@click.option(
    "--snaplen", type=click.IntRange(0), default=0, help="Bytes captured of a packet (default: all)."
)
@click.option("--name", default="", help="Name for `lab list` and `lab enter`.")
@click.option("-q", "--quiet", is_flag=True, help="Errors only.")
def command(
    topology: str,
    words: tuple[str, ...],
    host: str,
    timers: tuple[tuple[str, int], ...],
    half_closed_life: int | None,
    expired: str,
    loose: bool,
    forwards: tuple[int, ...],
    client_jobs: tuple[str, ...],
    box_jobs: tuple[str, ...],
    server_jobs: tuple[str, ...],
    routed: bool,
    capture: str | None,
    places: tuple[str, ...],
    snaplen: int,
    name: str,
    quiet: bool,
) -> int:
    """Build a lab, run something in it, take it away; the exit code is that of the command."""
    from lastack.lab.netns import become_root_of_namespaces
    from lastack.lab.topology import Lab
    from lastack.model.errors import UsageError

    if half_closed_life is not None and half_closed_life < 1_000_000:
        raise UsageError("--half-closed-life: at least 1ms")
    become_root_of_namespaces()
    lab = Lab(
        topology,
        timers=dict(timers),
        expired=expired,
        half_closed_life_ms=(half_closed_life or 0) // 1_000_000,
        loose=loose,
        forwards=forwards,
        routed=routed,
        name=name,
    )
    jobs = {"client": client_jobs, "box": box_jobs, "server": server_jobs}
    with _ended_by_signals(), lab, ExitStack() as stack:
        _check_hosts(lab, [host, *(places if capture else []), *(each for each in jobs if jobs[each])])
        if capture:
            stack.enter_context(_captured(lab, capture, places, snaplen, quiet))
        return _run(lab, host, words, jobs, quiet)


def _check_hosts(lab: Lab, names: list[str]) -> None:
    from lastack.model.errors import UsageError

    for name in names:
        if name not in lab.hosts:
            raise UsageError(f"topology {lab.topology} has no {name}")


@contextmanager
def _captured(lab: Lab, capture: str, places: tuple[str, ...], snaplen: int, quiet: bool) -> Iterator[None]:
    from lastack.app.lab import recording

    with recording(lab, capture, tuple(dict.fromkeys(places)), snaplen) as counts:
        yield
    if counts[1]:
        click.echo(f"lastack: {capture}: {counts[1]:,} packets were lost: the machine was too busy", err=True)
    if not quiet:
        click.echo(f"lastack: {capture}: {counts[0]:,} packets", err=True)


def _run(lab: Lab, host: str, words: tuple[str, ...], jobs: dict[str, tuple[str, ...]], quiet: bool) -> int:
    from lastack.lab.enter import shell_for, write_scripts

    write_scripts(lab)
    if not quiet:
        _introduce(lab)
    started = [
        (name, line, lab.hosts[name].popen(["sh", "-c", line], stdin=subprocess.DEVNULL))
        for name, lines in jobs.items()
        for line in lines
    ]
    if lab.topology == "emulator" and jobs["box"]:
        lab.await_box()
    if not words and not sys.stdin.isatty():
        click.echo("lastack: interrupt to end the lab", err=True)
        signal.pause()
        return 0
    # An interrupt from the keyboard goes to the command as well, which decides what to do. It must not raise here: in
    # the middle of waiting, the command's exit code would be lost.
    before = signal.signal(signal.SIGINT, lambda _number, _frame: None)
    try:
        code = lab.hosts[host].popen(list(words) or shell_for(lab, host)).wait()
    finally:
        signal.signal(signal.SIGINT, before)
    for name, line, job in started:
        if job.poll():
            click.echo(f"lastack: {name}: `{line}` exited with {job.returncode}", err=True)
    return code if code >= 0 else 128 - code


def _introduce(lab: Lab) -> None:
    lines = [f"lab {lab.name}: {lab.topology}"]
    for name, each in lab.hosts.items():
        addresses = " ".join(each.addresses.values()) or "no address"
        lines.append(f"  {name:<7} {addresses:<32}  lastack lab enter {lab.name} {name}")
    click.echo("\n".join(lines), err=True)


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Turn the wish to end, by kill or by a closed terminal, into an orderly end."""

    def leave(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
