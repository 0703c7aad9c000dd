"""`lastack dataset schema`: the tables of sessions in ClickHouse."""

from __future__ import annotations

import click

from lastack.cli.common import Duration

_EPILOG = """\b
Examples:
  lastack dataset schema clickhouse
  lastack dataset schema clickhouse --keep 90d | clickhouse-client --database flows --multiquery
"""


@click.command("schema", epilog=_EPILOG)
@click.argument("engine", type=click.Choice(["clickhouse"]))
@click.option("--keep", type=Duration(), help="Let sessions go so long after their start.")
def command(engine: str, keep: int | None) -> None:
    """Print the statements that make the tables of sessions, to read, or to change before the first push.

    `lastack dataset push` uses tables that are there as they are: a cluster's engines (ReplicatedMergeTree,
    Distributed), another partition or other codecs are yours to choose, as long as the columns stay.
    """
    from lastack.app.push import days_of
    from lastack.store.clickhouse_schema import insert_versions, schema

    for statement in [*schema(days_of(keep)), insert_versions()]:
        click.echo(f"{statement};\n")
