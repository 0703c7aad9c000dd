"""`lastack report`: one page in HTML to read and to mail."""

from __future__ import annotations

import click

from lastack.cli.asking import filter_option, opened
from lastack.cli.common import Duration, Reading, reading_options, tell

_EPILOG = """\b
Examples:
  lastack report trace.pcap -o report.html
  lastack report dataset -o monday.html --title 'Data centre, Monday'
  lastack report dataset -f 'server.port = 443' -o https.html --every 10m
"""


@click.command("report", epilog=_EPILOG)
@click.argument("inputs", nargs=-1, required=True, metavar="CAPTURE|DATASET...")
@click.option("-o", "--output", required=True, metavar="FILE", help="Where to write; - is standard output.")
@click.option("--title", default="", help="Title of the page (default: the names of the inputs).")
@click.option(
    "--every", type=Duration(), help="Width of the buckets of its charts (default: about 60 of them)."
)
@filter_option
@reading_options
def command(
    inputs: tuple[str, ...], output: str, title: str, every: int | None, where: str, reading: Reading
) -> None:
    """Write a report on captures or datasets as one HTML page.

    The page needs nothing else: no network, no script. It has the ledger, endings over time, causes with example
    sessions, top lists, and how handshake and half-closed times are spread.
    """
    # Imported late: parsing a command line must not wait for Arrow.
    from lastack.app.report import gather
    from lastack.query.parse import parse_filter
    from lastack.store.target import Target
    from lastack.view.report import render_report

    node = parse_filter(where)
    target = Target(output)
    try:
        with opened(inputs, reading) as source:
            data = gather(source, inputs, node, where, every)
        target.stream.write(render_report(data, title).encode())
    except BaseException:
        target.discard()
        raise
    target.commit()
    tell(data.notes, reading)
