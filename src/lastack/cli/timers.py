"""`lastack timers`: hidden timers of boxes on the paths of sessions."""

from __future__ import annotations

import json
import sys

import click

from lastack.cli.asking import filter_option, opened
from lastack.cli.common import Reading, reading_options, tell

_EPILOG = """\b
Examples:
  lastack timers dataset
  lastack timers trace.pcap --kind half_closed
  lastack timers dataset -f 'server.ip in 10.2.0.0/16' --format json
Exit code: 0 none found, 1 with --fail when one is found.
"""
_KINDS = ("half_closed", "idle", "embryonic")


@click.command("timers", epilog=_EPILOG)
@click.argument("inputs", nargs=-1, required=True, metavar="CAPTURE|DATASET...")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(_KINDS), help="Look for these only.")
@click.option("--fail", is_flag=True, help="Exit with 1 when a timer is found.")
@filter_option
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@reading_options
def command(
    inputs: tuple[str, ...], kinds: tuple[str, ...], fail: bool, where: str, form: str, reading: Reading
) -> int:
    """Find timers that nobody told of: the silence, or the age, beyond which sessions die on a path.

    Sessions that died after a silence are held against those that survived one. It says the bound, the kind, whether
    silence or age counts, what happens then, on which servers, clients or networks, and which known systems have such
    a default.
    """
    # Imported late: parsing a command line must not wait for Arrow.
    from lastack.app.timers import search_timers
    from lastack.query.parse import parse_filter
    from lastack.replay.deaths import Kind
    from lastack.view.timers import render_timers, timers_json

    node = parse_filter(where)
    with opened(inputs, reading) as source:
        wanted = [Kind[name] for name in kinds] or list(Kind)
        search = search_timers(source, node, wanted)
        tell(source.notes, reading)
    if form == "json":
        document = timers_json(search.found, search.deaths, search.watched)
        sys.stdout.write(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    else:
        sys.stdout.write(render_timers(search.found, search.deaths, search.watched, inputs))
    return 1 if fail and search.found else 0
