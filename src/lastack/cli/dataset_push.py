"""`lastack dataset push`: the sessions of a dataset in ClickHouse."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from lastack.cli.common import Duration

if TYPE_CHECKING:
    from lastack.store.clickhouse_push import Pushed, Told

_EPILOG = """\b
Examples:
  lastack dataset push monday clickhouse://db.example.net/flows
  lastack dataset push monday 'clickhouse://ann@db.example.net/flows?secure=1'     the password in $CLICKHOUSE_PASSWORD
  lastack dataset push s3://captures/monday clickhouse://db.example.net/flows --keep 90d
  lastack sessions clickhouse://db.example.net/flows -f 'rst > 0 and fin = 0'

\b
What may follow the ? of the URL:
  secure=1            TLS (port 8443 unless one is given)
  verify=0            do not check the server's certificate
  ca_cert=FILE        check it against this authority
  connect_timeout=10  seconds until nobody answers
  timeout=600         seconds until a question is given up
"""


@click.command("push", epilog=_EPILOG)
@click.argument("dataset")
@click.argument("target", metavar="clickhouse://HOST/DATABASE")
@click.option("--keep", type=Duration(), help="The database lets sessions go so long after their start.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("-q", "--quiet", is_flag=True, help="No progress on standard error.")
def command(dataset: str, target: str, keep: int | None, form: str, quiet: bool) -> None:
    """Bring the sessions of a dataset into a ClickHouse database, which is made if it is not there.

    Each session goes there once: segments that are there are passed over, a push that was cut off goes on, and so does
    one of a dataset that has grown.
    """
    from lastack.app.push import push_dataset

    with _progress(quiet) as told:
        report = push_dataset(dataset, target, keep, told)
    for note in report.notes:
        click.echo(f"lastack: {note}", err=True)
    if form == "json":
        click.echo(json.dumps(report.to_json(), indent=1))
        return
    rate = f", {report.inserted / report.seconds:,.0f} sessions/s" if report.inserted else ""
    there = f"; {report.known:,} were there already" if report.known else ""
    click.echo(
        f"{report.inserted:,} sessions brought to {report.target} in {report.seconds:.1f} s{rate}{there}"
    )


@contextlib.contextmanager
def _progress(quiet: bool) -> Iterator[Told | None]:
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress, TextColumn

    with Progress(
        TextColumn("{task.description}"),
        console=Console(file=sys.stderr),
        transient=True,
        refresh_per_second=5,
    ) as bar:
        task = bar.add_task("connecting")

        def told(state: Pushed) -> None:
            rate = state.inserted / state.seconds if state.seconds else 0
            bar.update(task, description=f"{state.rows:,} sessions, {rate:,.0f} sessions/s")

        yield told
