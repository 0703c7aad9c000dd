"""`lastack table`: any metrics of sessions by any keys."""

from __future__ import annotations

import click

from lastack.cli.asking import (
    close,
    filter_option,
    format_option,
    having_option,
    opened,
    output_option,
    strays_option,
    write,
)
from lastack.cli.common import Duration, PositiveCount, Reading, reading_options

_EPILOG = """\b
Examples:
  lastack table sessions,refused,cut trace.pcap --by service
  lastack table rst.srv/connection,syn/connection,connections dataset --by server,port --having 'syn/connection > 1.5'
  lastack table 'p50(ct),p99(ct),max(ct)' dataset --by app
  lastack table 'count(rst > 0 and fin = 0),distinct(client.ip)' dataset --by server --top 20
  lastack table sessions,harmed_share dataset --by cause
  lastack table attempts,refused dataset --by client.zone,server.zone --format csv -o matrix.csv
  lastack table rst,fin dataset --every 1m --where 'server.port = 443'
\b
Metrics: names that filters use mean sums (rst.count.srv, bytes); counts (sessions attempts connections refused
unanswered half_open cut harmed half_closed_backlog), shares (refused_share), calls (p99(ct), distinct(client.ip),
count(FILTER)) and quotients (syn/attempt). `lastack fields --metrics` lists them.
Keys: any name of an end, port, enum or text; client server service port app zones conversation time.
"""


@click.command("table", epilog=_EPILOG)
@click.argument("metrics", metavar="METRIC,...")
@click.argument("inputs", nargs=-1, required=True, metavar="CAPTURE|DATASET...")
@click.option("--by", default="", metavar="KEY,...", help="Group by these; one row for all without.")
@filter_option
@having_option
@click.option("-n", "--top", type=PositiveCount(), help="List so many rows; the others are summed in one.")
@click.option(
    "--sort", metavar="NAME", help="Order by a metric or key (default: first metric); +NAME smallest first."
)
@click.option("--every", type=Duration(), help="Group by buckets of time too, such as 10s.")
@strays_option
@format_option
@output_option
@reading_options
def command(
    metrics: str,
    inputs: tuple[str, ...],
    by: str,
    where: str,
    having: str,
    top: int | None,
    sort: str | None,
    every: int | None,
    strays: bool,
    form: str | None,
    output: str,
    reading: Reading,
) -> None:
    """Print metrics of sessions by keys, with the others and a total that add up."""
    # Imported late: parsing a command line must not wait for Arrow.
    from lastack.query.question_text import parse_question

    question = parse_question(
        metrics, by, where, having, every_ns=every, sort=sort or "", top=top, strays=strays
    )
    with opened(inputs, reading) as source:
        answer = source.grouped(question)

    def text() -> str:
        from lastack.view.grouped import render_table

        return render_table(answer)

    write(answer, form, output, text)
    close(answer, reading)
