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
#: Shown beside what is asked for, as each says whether the number is much.
_BESIDE = "attempts,connections,syn/connection,rst.clt/connection,rst.srv/connection,refused_share,cut_share"
#: The last stop before a session: fewer numbers, and one to show.
_LAST = "attempts,connections,syn/attempt,cut_share,example"
#: What is listed -> its keys, one of it, and what is shown beside.
LISTS: dict[str, tuple[str, str, str]] = {
    "servers": ("server.ip", "server", _BESIDE),
    "services": ("server.ip,server.port", "service", _BESIDE),
    "clients": ("client.ip", "client", _BESIDE),
    "zones": ("client.zone,server.zone", "pair of zones", _BESIDE),
    "apps": ("app", "application", _BESIDE),
    "ports": ("server.port", "port", _BESIDE),
    "conversations": ("client.ip,server.ip,server.port", "conversation", _LAST),
    "causes": ("cause", "cause", _LAST),
}


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
    means: SYN and RST packets for each connection, and which share was refused or cut; ∞ is something for no
    connection at all. Conversations and causes name a session as an example, for `lastack show`.
    """
    # Imported late: parsing a command line must not wait for Arrow.
    from lastack.query.question_text import parse_question

    keys, one, beside = LISTS[what]
    by = f"{metric}/{per}" if per else metric
    question = parse_question(f"{by},{beside}", keys, where, having, top=top, strays=strays)
    with opened(inputs, reading) as source:
        answer = source.grouped(question)

    def text() -> str:
        from lastack.view.grouped import render_table

        return render_table(answer, one, bars=True)

    write(answer, form, output, text)
    if what == "zones" and all(row.keys == (None, None) for row in answer.rows):
        answer.notes.append("no session has a zone: none were configured when the sessions were read")
    close(answer, reading)
