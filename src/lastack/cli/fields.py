"""`lastack fields`: the names that filters and columns use."""

from __future__ import annotations

import json
import sys

import click

_EPILOG = """\b
Examples:
  lastack fields
  lastack fields rst                    names with rst in them
  lastack fields --format json | jq '.[].name'
  lastack fields --metrics              what `lastack table` and `top` measure
"""


@click.command("fields", epilog=_EPILOG)
@click.argument("pattern", default="")
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "md"]), default="text", show_default=True
)
@click.option("--metrics", is_flag=True, help="List the metrics and keys of grouped questions instead.")
def command(pattern: str, form: str, metrics: bool) -> None:
    """List the fields of the session record, with type, unit, meaning, and their short names in filters.

    PATTERN keeps the names that contain it.
    """
    if metrics:
        if pattern or form != "text":
            raise click.UsageError("--metrics takes no pattern and no format")
        from lastack.view.measures import render_text as render_metrics

        sys.stdout.write(render_metrics())
        return
    from lastack.view.fields import field_facts, render_json, render_markdown, render_text

    facts = [fact for fact in field_facts() if any(pattern.casefold() in name for name in fact.names)]
    if not facts:
        raise click.UsageError(f"no name contains {pattern!r}")
    if form == "json":
        sys.stdout.write(json.dumps(render_json(facts), indent=1, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(render_markdown(facts) if form == "md" else render_text(facts))
