"""`lastack graph`: metrics over time, and how quantities are spread."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from lastack.cli.asking import filter_option, having_option, opened, strays_option
from lastack.cli.common import Duration, PositiveCount, Reading, reading_options, tell

if TYPE_CHECKING:
    from lastack.query.series import Distribution, TimeChart

_EPILOG = """\b
Examples:
  lastack graph rst trace.pcap                              in the terminal, buckets to suit
  lastack graph rst.clt,rst.srv dataset --every 10s
  lastack graph sessions dataset --by ending --every 1m -o endings.svg
  lastack graph refused_share dataset --by server --top 3 --every 10m
  lastack graph 'p50(ct),p99(ct)' dataset -f 'server.port = 443' -o handshakes.png
  lastack graph half_closed_now dataset --every 10s         how many are half-closed at a time; open_now too
  lastack graph half_closed dataset --histogram --by cause
  lastack graph attempts,refused dataset --every 1h -o hours.csv
"""
_FORMS = ("text", "png", "svg", "csv", "json")


@click.command("graph", epilog=_EPILOG)
@click.argument("metrics", metavar="METRIC,...")
@click.argument("inputs", nargs=-1, required=True, metavar="CAPTURE|DATASET...")
@click.option(
    "--by", default="", metavar="KEY,...", help="A line for each of the largest groups, and the others."
)
@click.option(
    "--every", type=Duration(), help="Width of the buckets, such as 10s (default: about 60 of them)."
)
@click.option("-n", "--top", type=PositiveCount(), default=5, show_default=True, help="Groups with a line.")
@click.option("--by-end", is_flag=True, help="Count sessions when they end, not when they begin.")
@click.option(
    "--histogram", is_flag=True, help="How METRIC, a duration, size or number, is spread over sessions."
)
@filter_option
@having_option
@strays_option
@click.option(
    "--format", "form", type=click.Choice(_FORMS), help="Format (default: by the name of -o, else text)."
)
@click.option("-o", "--output", default="-", metavar="FILE", help="Where to write; - is standard output.")
@reading_options
def command(
    metrics: str,
    inputs: tuple[str, ...],
    by: str,
    every: int | None,
    top: int,
    by_end: bool,
    histogram: bool,
    where: str,
    having: str,
    strays: bool,
    form: str | None,
    output: str,
    reading: Reading,
) -> None:
    """Draw metrics over time, or how a quantity is spread.

    In the terminal, or as PNG, SVG, CSV or JSON by the name of -o. PNG and SVG need the extra `plot`
    (pip install 'lastack[plot]').
    """
    ending = output.rpartition(".")[2].casefold()
    form = form or (ending if ending in _FORMS else "text")
    if form == "png" and output == "-":
        raise click.UsageError("png is not for a terminal: name a file with -o")
    if histogram and (every is not None or by_end or having):
        raise click.UsageError("--histogram has no time: --every, --by-end and --having do not go with it")
    chart: TimeChart | Distribution
    # Imported late: parsing a command line must not wait for Arrow.
    if histogram:
        chart = _distribution(metrics, inputs, by, where, top, reading)
    elif metrics.strip().casefold() in ("half_closed_now", "open_now"):
        chart = _level(metrics.strip().casefold(), inputs, by, having, where, every, strays, reading)
    else:
        from lastack.app.series import time_chart
        from lastack.model.errors import UsageError
        from lastack.query.question_text import parse_question

        question = parse_question(metrics, by, where, having, top=top, strays=strays)
        if any(key.width_ns is not None for key in question.keys):
            raise UsageError("graph: time is always below; --by names the lines")
        with opened(inputs, reading) as source:
            chart = time_chart(source, question, every, "end_time" if by_end else "time")
            tell(source.notes, reading)
    _write(chart, form, output)


def _level(
    name: str,
    inputs: tuple[str, ...],
    by: str,
    having: str,
    where: str,
    every: int | None,
    strays: bool,
    reading: Reading,
) -> TimeChart:
    from lastack.app.series import level_chart
    from lastack.query.levels import LEVELS
    from lastack.query.parse import parse_filter

    if by or having:
        raise click.UsageError(f"{name} has one line: --by and --having do not go with it; a filter does")
    node = parse_filter(where)
    with opened(inputs, reading) as source:
        chart = level_chart(source, LEVELS[name], node, every, strays)
        tell(source.notes, reading)
    return chart


def _distribution(
    name: str, inputs: tuple[str, ...], by: str, where: str, top: int, reading: Reading
) -> Distribution:
    from lastack.app.series import distribution
    from lastack.model.errors import UsageError
    from lastack.query.keys import parse_keys
    from lastack.query.metrics import Kind
    from lastack.query.parse import parse_filter, session_metric

    try:
        metric = session_metric(name)
    except ValueError as reason:
        raise UsageError(f"histogram: {reason}") from None
    if metric.kind not in (Kind.duration, Kind.size, Kind.number):
        raise UsageError(
            f"histogram: {metric.name} is no duration, size or number; `lastack table sessions --by` counts it"
        )
    keys = parse_keys(by)
    if len(keys) > 1:
        raise UsageError("histogram: --by takes one key")
    node = parse_filter(where)
    with opened(inputs, reading) as source:
        found = distribution(source, metric, node, keys[0] if keys else None, top)
        tell(source.notes, reading)
    return found


def _write(chart: TimeChart | Distribution, form: str, output: str) -> None:
    from lastack.query.series import TimeChart
    from lastack.store.target import Target

    if form in ("png", "svg"):
        from lastack.view.figure import render

        content = render(chart, form)
    elif form in ("csv", "json"):
        from lastack.view.chartdata import render_csv, render_json

        content = (render_csv if form == "csv" else render_json)(chart).encode()
    else:
        from lastack.view.plot import render_distribution, render_time

        text = render_time(chart) if isinstance(chart, TimeChart) else render_distribution(chart)
        content = text.encode()
    target = Target(output)
    target.stream.write(content)
    target.commit()
