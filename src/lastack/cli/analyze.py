"""`lastack analyze`: the overview, and with -o a dataset for later questions."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import Literal

import click

from lastack.cli.common import Duration, PositiveCount, Reading, reading_options, tell

_EPILOG = """\b
Examples:
  lastack analyze trace.pcap
  lastack analyze trace.pcap -o dataset          keep the sessions for later questions
  lastack analyze day1.pcap.gz day2.pcap.gz      several files are merged in time order
  lastack analyze dataset -f 'server.port = 443'
  lastack analyze trace.pcap --format json | jq .ledger
  tcpdump -i eth0 -w - tcp | lastack analyze -
  lastack analyze day/*.pcap -o dataset --workers 8                          on processes of this machine
  lastack analyze day/*.pcap -o dataset --cluster tcp://10.0.0.1:8786        on a Dask cluster
  lastack analyze s3://day/a.pcap s3://day/b.pcap -o s3://kept/day           in an S3 store
"""


@click.command("analyze", epilog=_EPILOG)
@click.argument("inputs", nargs=-1, required=True, metavar="CAPTURE|DATASET...")
@click.option("-o", "--output", metavar="DATASET", help="Keep all sessions in this folder.")
@click.option("--overwrite", is_flag=True, help="Replace the dataset that is there.")
@click.option("--append", is_flag=True, help="Add to the dataset that is there.")
@click.option(
    "-f", "--filter", "where", default="", metavar="FILTER", help="Overview of these sessions only."
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option(
    "--top", type=PositiveCount(), default=5, show_default=True, help="Servers and clients to list."
)
@click.option(
    "--workers", type=PositiveCount(), help="Track in so many processes that may die and be resumed."
)
@click.option("--cluster", metavar="ADDRESS", help="Track on a Dask cluster: tcp://SCHEDULER:PORT or tls://.")
@click.option("--tls-ca", metavar="FILE", help="For tls://: who signed the scheduler's certificate (PEM).")
@click.option("--tls-cert", metavar="FILE", help="For tls://: the certificate to show (PEM).")
@click.option("--tls-key", metavar="FILE", help="For tls://: its key (PEM).")
@click.option(
    "--work",
    metavar="FOLDER",
    help="Results in between, for --workers and --cluster: seen by all workers, kept until all is done "
    "(default: DATASET.work).",
)
@click.option(
    "--clock-offset",
    "offsets",
    metavar="CAPTURE=OFFSET",
    multiple=True,
    help="The clock of this capture's sensor is ahead by so much, such as +0.8ms (behind: -0.8ms): taken off its "
    "times. CAPTURE may be a pattern.",
)
@click.option("--drop-duplicates", is_flag=True, help="Count packets once that captures of two sensors have.")
@click.option(
    "--duplicate-window",
    type=Duration(),
    default="20ms",
    show_default=True,
    help="For --drop-duplicates: how far apart two copies may be.",
)
@reading_options
def command(
    inputs: tuple[str, ...],
    output: str | None,
    overwrite: bool,
    append: bool,
    where: str,
    form: str,
    top: int,
    workers: int | None,
    cluster: str | None,
    tls_ca: str | None,
    tls_cert: str | None,
    tls_key: str | None,
    work: str | None,
    offsets: tuple[str, ...],
    drop_duplicates: bool,
    duplicate_window: int,
    reading: Reading,
) -> None:
    """Say how the TCP sessions of captures opened, how they ended, and what stands out.

    Captures are pcap or pcapng files, compressed or not; - is standard input.
    """
    if overwrite and append:
        raise click.UsageError("--overwrite and --append exclude each other")
    if (overwrite or append) and output is None:
        raise click.UsageError("--overwrite and --append need -o DATASET")
    files = [name for name in (tls_ca, tls_cert, tls_key) if name is not None]
    if files and (len(files) < 3 or cluster is None):
        raise click.UsageError("--tls-ca, --tls-cert and --tls-key go together, and with --cluster tls://…")
    mode: Literal["new", "overwrite", "append"] = "overwrite" if overwrite else "append" if append else "new"
    # Imported late: parsing a command line must not wait for Arrow.
    from lastack.app.options import default_threads
    from lastack.app.overview import Keep, survey_inputs
    from lastack.cli.progress import shown_progress
    from lastack.query.parse import parse_filter
    from lastack.store.s3 import is_s3, root_of

    keep = Keep(root_of(output), mode) if output is not None else None
    node = parse_filter(where)
    missing = 0
    options = replace(
        reading.track_options,
        clock_offsets=_offsets(offsets),
        duplicates_ns=duplicate_window if drop_duplicates else None,
    )
    for_tasks = offsets or drop_duplicates or any(is_s3(name) for name in inputs if name != "-")
    if cluster is None and workers is None and for_tasks:
        workers = default_threads()
    if workers is None and cluster is None:
        if work is not None:
            raise click.UsageError("--work goes with --workers or --cluster")
        with shown_progress(reading, inputs) as progress:
            report = survey_inputs(inputs, node, keep, options, progress, top)
    else:
        from lastack.app.cluster_choice import cluster_run
        from lastack.app.jobs_dask import Certificates

        files = [name for name in (tls_ca, tls_cert, tls_key) if name is not None]
        if files and (len(files) < 3 or cluster is None):
            raise click.UsageError(
                "--tls-ca, --tls-cert and --tls-key go together, and with --cluster tls://…"
            )
        certificates = Certificates(*files) if files else None
        with cluster_run(
            workers, cluster, work, output, lambda text: tell([text], reading), certificates
        ) as run:
            with shown_progress(reading, inputs) as progress:
                report = survey_inputs(inputs, node, keep, options, progress, top, run.track)
            missing = len(run.missing)
    if form == "json":
        sys.stdout.write(json.dumps(report.to_json(), indent=1, ensure_ascii=False) + "\n")
    else:
        from lastack.view.overview import render_overview

        source = [output] if output is not None else list(inputs)
        sys.stdout.write(render_overview(report.overview, report.run, source))
    tell(report.notes, reading)
    if output is not None and not reading.quiet:
        click.echo(f"lastack: {report.run.sessions:,} sessions kept in {output}", err=True)
    if missing:
        click.get_current_context().exit(1)


def _offsets(words: tuple[str, ...]) -> dict[str, int]:
    """Return the nanoseconds of each `CAPTURE=OFFSET`."""
    from lastack.model.units import parse_duration_ns

    found = {}
    for word in words:
        name, equals, text = word.rpartition("=")
        sign = -1 if text.startswith("-") else 1
        try:
            if not equals or not name:
                raise ValueError("CAPTURE=OFFSET is needed")
            found[name] = sign * parse_duration_ns(text.lstrip("+-"))
        except (ValueError, OverflowError) as reason:
            raise click.BadParameter(
                f"{word!r}: {reason}; write such as b.pcap=+0.8ms", param_hint="--clock-offset"
            ) from None
    return found
