"""`lastack probe path`: what a path does to half-closed and idle connections."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from lastack.cli.common import Duration, PositiveCount

if TYPE_CHECKING:
    from collections.abc import Callable

    from lastack.prober.facts import Status

_EPILOG = """\b
Examples:
  lastack probe path server.example.net                  about three minutes
  lastack probe path 192.0.2.7 --longest 20s             half a minute, shorter timers only
  lastack probe path 192.0.2.7 --longest 2h10m --state run.json   stop it, and go on later
  lastack probe path 192.0.2.7 --require 'half-close>=60s' --format json
\b
Exit codes: 0 all that is required holds, 1 something does not, 2 wrong usage, 3 inconclusive.
"""


#: What openings, give-ups and reports take beside the waits of two rounds.
_MARGIN_NS = 14_000_000_000


@click.command("path", epilog=_EPILOG)
@click.argument("host")
@click.option("-p", "--port", type=click.IntRange(1, 65535), default=7011, show_default=True)
@click.option("--token", envvar="LASTACK_TOKEN", default="", help="The responder's secret.")
@click.option(
    "--only",
    type=click.Choice(["half-close", "idle", "opening", "closed", "reset", "odd"]),
    multiple=True,
    help="Ask about these only (may be repeated); finer bounds for what is left.",
)
@click.option("--shortest", type=Duration(), default="500ms", show_default=True, help="Shortest silence.")
@click.option("--longest", type=Duration(), default="150s", show_default=True, help="Longest silence.")
@click.option(
    "--deadline",
    type=Duration(),
    help="Leave out refinements that would take longer (default: longest + 20 % + 14 s).",
)
@click.option(
    "-n",
    "--connections",
    type=PositiveCount(),
    default=1000,
    show_default=True,
    help="At once, over all questions; more give finer bounds.",
)
@click.option(
    "--rate", type=PositiveCount(), default=500, show_default=True, help="Connections opened a second."
)
@click.option("--source", default="", help="Local address to send from.")
@click.option("-4", "family", flag_value="4", help="IPv4 only.")
@click.option("-6", "family", flag_value="6", help="IPv6 only.")
@click.option("--require", "required", multiple=True, metavar="NAME>=TIME", help="Fail unless it holds.")
@click.option("--state", type=click.Path(dir_okay=False), help="File that keeps the samples, to go on later.")
@click.option("--no-reverse", is_flag=True, help="Do not let the other end open connections, even if it may.")
@click.option(
    "--reverse-port",
    type=click.IntRange(0, 65535),
    default=0,
    help="Port for the other end's connections, where a firewall or NAT must let it in (default: any).",
)
@click.option("--no-raw", is_flag=True, help="Do without raw segments, even with CAP_NET_RAW at both ends.")
@click.option("--no-reuse", is_flag=True, help="Do not open ports again after a close.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def command(
    host: str,
    port: int,
    token: str,
    only: tuple[str, ...],
    shortest: int,
    longest: int,
    deadline: int | None,
    connections: int,
    rate: int,
    source: str,
    family: str | None,
    required: tuple[str, ...],
    state: str | None,
    no_reverse: bool,
    reverse_port: int,
    no_raw: bool,
    no_reuse: bool,
    form: str,
    quiet: bool,
) -> int:
    """Find out how long half-closed and idle connections live on the path to HOST.

    At HOST runs `lastack probe responder`. Many connections wait at once, each another time, so that a timer of two
    minutes is known in little more than two minutes. With CAP_NET_RAW at both ends it also finds how long a handshake
    may take, and what passes after both FINs; a responder started with --allow-reverse opens connections too.
    """
    import socket

    from lastack.app.probe import probe_path
    from lastack.model.errors import UsageError
    from lastack.prober.plan import Scope
    from lastack.prober.question import FORWARD, RAW, REVERSE
    from lastack.prober.requirement import parse_requirement
    from lastack.prober.target import Target

    if shortest >= longest:
        raise UsageError("--shortest must be below --longest")
    requirements = [parse_requirement(text) for text in required]
    topics = {word.replace("-", "_") for word in only}
    offered = FORWARD + (() if no_reverse else REVERSE) + (() if no_raw else RAW)
    questions = tuple(each for each in offered if not topics or each.topic.value in topics)
    if not questions:
        raise UsageError("nothing is left to ask: --only and --no-raw exclude each other here")
    scope = Scope(
        questions,
        shortest,
        longest,
        max(connections, 8 * len(questions)),
        # a raw trial costs both ends a few packets, and the responder takes 4,096 from one address
        raw_each=min(max(connections // 5, 24), 240),
        deadline_ns=deadline or longest + longest // 5 + _MARGIN_NS,
    )
    families = {"4": socket.AF_INET, "6": socket.AF_INET6, None: 0}
    target = Target(host, port, token, source, int(families[family]), rate, reverse_port)
    with _shown(scope.deadline_ns, quiet) as told:
        answer = probe_path(target, scope, requirements, state, told, reuse=not no_reuse)
    if form == "json":
        from lastack.prober.answer import answer_json

        sys.stdout.write(json.dumps(answer_json(answer), indent=1) + "\n")
    else:
        from lastack.view.path_card import render_path

        sys.stdout.write(render_path(answer))
    return answer.exit_code


@contextlib.contextmanager
def _shown(deadline_ns: int, quiet: bool) -> Iterator[Callable[[Status], None] | None]:
    """Yield what draws the progress line; None when nobody would see it."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (BarColumn(bar_width=24), TimeElapsedColumn(), TextColumn("{task.fields[text]}"))
    with Bar(*columns, console=Console(file=sys.stderr), transient=True, refresh_per_second=4) as bar:
        task = bar.add_task("", total=deadline_ns / 1e9, text="")

        def told(status: Status) -> None:
            text = f"{status.live:,} connections wait, {status.samples:,} trials done; Ctrl-C shows what is known"
            bar.update(task, completed=status.elapsed_ns / 1e9, text=text)

        yield told
