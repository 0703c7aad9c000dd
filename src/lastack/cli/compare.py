"""`lastack compare`: what changed between two inputs, or two periods of one."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from lastack.cli.asking import filter_option, opened, strays_option
from lastack.cli.common import PositiveCount, Reading, reading_options, tell

if TYPE_CHECKING:
    from lastack.app.compare import Period
    from lastack.app.grouped import Source
    from lastack.query.ast import Node

_EPILOG = """\b
Examples:
  lastack compare monday tuesday                         two datasets or captures
  lastack compare day --before 2026-01-31T08:00..2026-01-31T09:00 --after 2026-01-31T09:00..2026-01-31T10:00
  lastack compare trace.pcap --before 0s..5m --after 5m..10m       since the first packet
  lastack compare old new -f 'server.port = 443' --by server
  lastack compare old new --metrics refused_share,'count(rst > 0)' --by app --by client.zone
"""


@click.command("compare", epilog=_EPILOG)
@click.argument("inputs", nargs=-1, required=True, metavar="A [B]")
@click.option(
    "--before", metavar="TIME..TIME", help="First period of A: times, or durations since its first packet."
)
@click.option("--after", metavar="TIME..TIME", help="Second period of A.")
@click.option(
    "--metrics", default="", metavar="METRIC,...", help="Counts of sessions, or shares, to compare."
)
@click.option("--by", multiple=True, metavar="KEY,...", help="Compare by these; may be given several times.")
@click.option("-n", "--top", type=PositiveCount(), default=20, show_default=True, help="Changes to list.")
@filter_option
@strays_option
@click.option(
    "--format", "form", type=click.Choice(["text", "csv", "json"]), help="Format (default: by -o, else text)."
)
@click.option("-o", "--output", default="-", metavar="FILE", help="Where to write; - is standard output.")
@reading_options
def command(
    inputs: tuple[str, ...],
    before: str | None,
    after: str | None,
    metrics: str,
    by: tuple[str, ...],
    top: int,
    where: str,
    strays: bool,
    form: str | None,
    output: str,
    reading: Reading,
) -> None:
    """Rank what changed between two datasets or captures, or between two periods of one.

    Rates are compared, by service, client, application, zones and cause: refused of all attempts, cut of all
    connections, attempts for each second and so on. What chance explains is left out, and what is left is ranked by
    the number of sessions that the change means at least.
    """
    # Imported late: parsing a command line must not wait for Arrow.
    from lastack.app.compare import compare
    from lastack.query.parse import parse_filter
    from lastack.store.place import shown
    from lastack.store.target import Target
    from lastack.view.compare import render_csv, render_json, render_text

    if len(inputs) > 2 or (len(inputs) == 2) == bool(before or after) or bool(before) != bool(after):
        raise click.UsageError("give two inputs, or one with --before TIME..TIME and --after TIME..TIME")
    node = parse_filter(where)
    with contextlib.ExitStack() as stack:
        sources = [stack.enter_context(opened([name], reading)) for name in inputs]
        if before is not None and after is not None:
            periods = [
                _part(sources[0], node, text, name) for text, name in ((before, "before"), (after, "after"))
            ]
        else:
            names = [shown(name) for name in inputs]
            names = names if names[0] != names[1] else [f"{name} ({n})" for n, name in enumerate(names, 1)]
            periods = [_whole(source, node, name) for source, name in zip(sources, names, strict=True)]
        found = compare(periods[0], periods[1], metrics, by, strays)
        for source in sources:
            tell(source.notes, reading)
    form = form or {"csv": "csv", "json": "json"}.get(output.rpartition(".")[2], "text")
    text = {
        "text": lambda: render_text(found, top),
        "csv": lambda: render_csv(found),
        "json": lambda: render_json(found),
    }
    target = Target(output)
    target.stream.write(text[form]().encode())
    target.commit()
    tell(found.notes, reading)


def _whole(source: Source, node: Node | None, name: str) -> Period:
    from lastack.app.compare import Period

    run = source.run
    seconds = (
        (run.last_ns - run.first_ns) / 1e9 if run.last_ns is not None and run.first_ns is not None else 0
    )
    return Period(name, source, node, max(seconds, 0.0))


def _part(source: Source, node: Node | None, text: str, name: str) -> Period:
    from lastack.app.compare import Period
    from lastack.model.errors import UsageError
    from lastack.query.parse import parse_filter
    from lastack.query.series import all_of

    first, dots, last = text.partition("..")
    try:
        if not (dots and first and last):
            raise ValueError("give two ends, such as 2026-01-31T08:00..2026-01-31T09:00 or 0s..5m")
        start, end = (_instant(part, source.run.first_ns) for part in (first, last))
        if end <= start:
            raise ValueError("this period is empty: its second end is not after the first")
    except ValueError as reason:
        raise UsageError(f"--{name} {text}: {reason}") from None
    cut = parse_filter(f"start >= {start} and start < {end}")
    return Period(name, source, all_of(cut, node), (end - start) / 1e9)


def _instant(text: str, first_ns: int | None) -> int:
    """Return a time that is written as one, or as a duration since the first packet, in ns since the epoch."""
    from lastack.model.units import parse_duration_ns
    from lastack.query.metrics import METRICS
    from lastack.query.values import read_number

    if (
        text[:1].isdigit()
        and text[-1:].isalpha()
        and "T" not in text
        and "Z" not in text
        and first_ns is not None
    ):
        return first_ns + parse_duration_ns(text)
    if (text.isdigit() and 4 < len(text) < 10) or len(text) < 4:  # a moment of 1970, or a forgotten unit
        raise ValueError(f"{text!r} is neither a time nor a duration: write 20s, or 2026-01-31T08:00:20")
    return int(read_number(METRICS["start"], text))
