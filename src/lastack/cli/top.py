"""`lastack top`: the servers, clients, zones … with most of something, the others and the total."""

from __future__ import annotations

import click

from lastack.cli.asking import (
    close,
    filter_option,
    format_option,
    having_option,
    opened,
    output_option,
    question_of,
    strays_option,
    write,
)
from lastack.cli.common import PositiveCount, Reading, reading_options

_EPILOG = """\b
Examples:
  lastack top servers trace.pcap                                     by sessions
  lastack top servers trace.pcap --by rst.count.srv
  lastack top servers dataset --by rst.srv --per connection --having 'syn/connection > 1.2'
  lastack top clients dataset --by refused -f 'server.ip = 10.0.0.5' -n 20
  lastack top ports dataset --by half_closed_backlog
  lastack top zones dataset --by 'count(harm = data_lost)'
  lastack top conversations dataset --by cut --format json
"""
#: What is listed -> its keys, and one of it.
LISTS: dict[str, tuple[str, str]] = {
    "servers": ("server.ip", "server"),
    "services": ("server.ip,server.port", "service"),
    "clients": ("client.ip", "client"),
    "zones": ("client.zone,server.zone", "pair of zones"),
    "apps": ("app", "application"),
    "ports": ("server.port", "port"),
    "conversations": ("client.ip,server.ip,server.port", "conversation"),
    "causes": ("cause", "cause"),
}
#: Shown beside what is asked for, as each says whether the number is much.
_BESIDE = "attempts,connections,syn/connection,rst.clt/connection,rst.srv/connection,refused_share,cut_share"


@click.command("top", epilog=_EPILOG)
@click.argument("what", type=click.Choice(list(LISTS)), metavar="|".join(LISTS))
@click.argument("inputs", nargs=-1, required=True, metavar="CAPTURE|DATASET...")
@click.option(
    "--by", "metric", default="sessions", metavar="METRIC", help="Rank by this (default: sessions)."
)
@click.option(
    "--per",
    type=click.Choice(["connection", "attempt", "session"]),
    help="Divide by the connections, attempts or sessions of each row.",
)
@filter_option
@having_option
@click.option("-n", "--top", type=PositiveCount(), default=10, show_default=True, help="Rows to list.")
@strays_option
@format_option
@output_option
@reading_options
def command(
    what: str,
    inputs: tuple[str, ...],
    metric: str,
    per: str | None,
    where: str,
    having: str,
    top: int,
    strays: bool,
    form: str | None,
    output: str,
    reading: Reading,
) -> None:
    """List the servers, clients, zones, applications, ports or conversations with most of a metric.

    The others and the total follow, so that nothing is hidden. Beside the metric stand those that tell what it
    means: SYN and RST packets for each connection, and which share was refused or cut. `∞` is something for no
    connection at all.
    """
    keys, one = LISTS[what]
    by = f"{metric}/{per}" if per else metric
    shown = f"{by},{_BESIDE}" + (",example" if what == "conversations" else "")
    question = question_of(shown, keys, where, having, top=top, strays=strays)
    with opened(inputs, reading) as source:
        answer = source.grouped(question)

    def text() -> str:
        from lastack.view.grouped import render_table

        return render_table(answer, one, bars=True)

    write(answer, form, output, text)
    if what == "zones" and all(row.keys == (None, None) for row in answer.rows):
        answer.notes.append("no session has a zone: none were configured when the sessions were read")
    close(answer, reading)
