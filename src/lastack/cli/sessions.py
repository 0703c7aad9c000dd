"""`lastack sessions`: one row for each session, filtered, sorted, in any format."""

from __future__ import annotations

from pathlib import Path

import click

from lastack.app.registries import EXPORTERS
from lastack.cli.common import Count, Reading, parse_columns, reading_options, tell

_EPILOG = """\b
Examples:
  lastack sessions trace.pcap
  lastack sessions trace.pcap -f 'rst.count > 0 and fin.count = 0'
  lastack sessions trace.pcap -f 'half_closed > 30s' --sort -half_closed --limit 20
  lastack sessions a.pcap b.pcap --format csv -o sessions.csv
  lastack sessions dataset -f 'opening = refused' --columns client_ip,server_ip,server_port
  lastack sessions trace.pcap -f 'cause = injected_reset' --packets injected.pcapng
  lastack sessions trace.pcap --format zeek | zeek-cut id.orig_h conn_state history
  tcpdump -w - | lastack sessions - --format jsonl
"""


@click.command("sessions", epilog=_EPILOG)
@click.argument("inputs", nargs=-1, required=True, metavar="CAPTURE|DATASET...")
@click.option(
    "-f", "--filter", "where", default="", metavar="FILTER", help="Only sessions that pass a filter."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(list(EXPORTERS)),
    help="Format (default: by the name of -o, else table).",
)
@click.option("-o", "--output", default="-", metavar="FILE", help="Where to write; - is standard output.")
@click.option("--columns", metavar="A,B,...", help="Fields to write, in this order.")
@click.option("--sort", metavar="NAME", help="Sort by this name, -NAME for largest first (table: start).")
@click.option("--limit", type=Count(), help="Write so many rows at most.")
@click.option(
    "--packets",
    "target",
    metavar="FILE.pcapng",
    help="Write the packets of these sessions to a capture as well.",
)
@click.option(
    "--captures",
    multiple=True,
    metavar="FILE|FOLDER",
    help="For --packets: where a dataset's captures are now, if they were moved.",
)
@reading_options
def command(
    inputs: tuple[str, ...],
    where: str,
    form: str | None,
    output: str,
    columns: str | None,
    sort: str | None,
    limit: int | None,
    target: str | None,
    captures: tuple[str, ...],
    reading: Reading,
) -> None:
    """Write one row for each TCP session of captures or datasets.

    Captures are pcap or pcapng files, compressed or not; - is standard input. A dataset is a folder that
    `lastack analyze -o` made. `lastack fields` lists the names that filters and columns use.
    """
    form = form or _form_of(output)
    if form == "parquet" and output == "-":
        raise click.UsageError("parquet is not for a terminal: name a file with -o")
    chosen = parse_columns(columns)
    # Imported late: parsing a command line must not wait for Arrow.
    from lastack.app.sessions import Question, ask
    from lastack.cli.cutting import Cut
    from lastack.cli.progress import shown_progress
    from lastack.query.parse import parse_filter
    from lastack.store.dataset import Order
    from lastack.store.place import is_database

    node = parse_filter(where)
    if sort is None and form == "table" and any(is_database(name) or Path(name).is_dir() for name in inputs):
        sort = "start"  # rows of captures come in that order by themselves
    order = Order.parse(sort) if sort else None
    exporter = EXPORTERS[form].load()(output, chosen or _all_columns(form))
    cut = Cut(exporter, target) if target is not None else None
    sink, needed = (cut.write, cut.columns) if cut is not None else (exporter.write, exporter.columns)
    question = Question(node, needed, order, limit)
    try:
        with shown_progress(reading, inputs) as progress:
            answer = ask(inputs, question, sink, reading.track_options, progress)
    except BaseException:
        exporter.discard()
        raise
    exporter.close()
    tell(answer.notes, reading)
    if cut is not None:
        cut.finish(inputs, captures, reading)
    if form == "table" and answer.rows == 0:
        tell(["no session passes" if where else "no TCP session in it"], reading)


def _form_of(output: str) -> str:
    """Return the format that a file's name asks for."""
    endings = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".log": "zeek"}
    return next((form for ending, form in endings.items() if output.endswith(ending)), "table")


def _all_columns(form: str) -> tuple[str, ...]:
    """Return the columns that a format writes when none are asked for."""
    from lastack.model.fields import FIELDS

    if form == "table":
        columns: tuple[str, ...] = EXPORTERS[form].load().default_columns
        return columns
    return tuple(field.name for field in FIELDS if form != "csv" or field.type != "list")
