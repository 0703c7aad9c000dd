"""`lastack dataset`: datasets in an engine for many machines."""

from __future__ import annotations

import click

from lastack.cli.lazy import LazyGroup

VERBS: dict[str, tuple[str, str]] = {
    "push": ("dataset_push", "Bring the sessions of a dataset into ClickHouse, each once."),
    "schema": ("dataset_schema", "The tables that sessions have in ClickHouse, as SQL."),
}
_EPILOG = """\b
Examples:
  lastack dataset push monday clickhouse://db.example.net/flows
  lastack top servers clickhouse://db.example.net/flows --by rst.srv
  lastack dataset schema clickhouse --keep 90d
"""


@click.group("dataset", cls=LazyGroup, verbs=VERBS, epilog=_EPILOG)
def command() -> None:
    """Keep sessions in ClickHouse.

    A database of ClickHouse is named clickhouse://[USER[:PASSWORD]@]HOST[:PORT]/DATABASE and is taken wherever a
    dataset is. User and password may be in $CLICKHOUSE_USER and $CLICKHOUSE_PASSWORD. Needs lastack[clickhouse].
    """
