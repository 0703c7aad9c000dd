"""`lastack show`: everything about one session, named by its id or its two ends."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import click

from lastack.cli.common import Reading, reading_options, tell

_EPILOG = """\b
Examples:
  lastack show 10.0.0.1:49152-10.0.0.5:443 --from trace.pcap
  lastack show '[2001:db8::1]:49152-[2001:db8::5]:443' -i dataset
  lastack show 5577006791947779410 -i dataset
  lastack show CB5yWlOnGKtc -i dataset            the uid of --format zeek
"""
_ENDS = re.compile(r"(\[[^\]]+\]|[^:\[\]]+):(\d{1,5})-(\[[^\]]+\]|[^:\[\]]+):(\d{1,5})")
_MOST = 5


@click.command("show", epilog=_EPILOG)
@click.argument("session")
@click.option(
    "-i",
    "--from",
    "inputs",
    multiple=True,
    required=True,
    metavar="CAPTURE|DATASET",
    help="Where the session is; may be given several times.",
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@reading_options
def command(session: str, inputs: tuple[str, ...], form: str, reading: Reading) -> None:
    """Say everything about one session.

    SESSION is its id, its Zeek-like uid, or its two ends as ip:port-ip:port (either first).
    """
    # Imported late: parsing a command line must not wait for Arrow.
    from lastack.app.sessions import Question, ask
    from lastack.cli.progress import shown_progress
    from lastack.model.errors import UsageError
    from lastack.query.parse import parse_filter
    from lastack.store.dataset import Order

    node = parse_filter(filter_of(session))
    batches: list[Any] = []
    question = Question(node, None, Order("start"), 1000)
    with shown_progress(reading, inputs) as progress:
        answer = ask(inputs, question, batches.append, reading.track_options, progress)
    rows = [row for batch in batches for row in batch.to_pylist()]
    if not rows:
        tell(answer.notes, reading)
        raise UsageError(f"no session {session} in {', '.join(inputs)}; `lastack sessions` lists them")
    if form == "json":
        _write_json(batches)
    else:
        from lastack.view.session import render_session

        sys.stdout.write("\n\n".join(render_session(row) for row in rows[:_MOST]))
        if len(rows) > _MOST:
            rest = ", ".join(str(row["session_id"]) for row in rows[_MOST : _MOST + 20])
            sys.stdout.write(f"\nAnd {len(rows) - _MOST} more between these ends: {rest}\n")
    tell(answer.notes, reading)


def filter_of(session: str) -> str:
    """Return the filter that finds a session by what a person calls it.

    Raises:
        UsageError: The text is neither an id, nor a uid, nor two ends.
    """
    from lastack.export.text import uid_number
    from lastack.model.errors import UsageError

    if session.isascii() and session.isdigit():
        return f"session_id = {session}"
    number = uid_number(session)
    if number is not None:
        return f"session_id = {number}"
    match = _ENDS.fullmatch(session.replace(" ", ""))
    if match is None:
        raise UsageError(
            f"{session!r} names no session: give an id, a uid, or ip:port-ip:port "
            "(an IPv6 address in brackets)"
        )
    first, first_port, second, second_port = (part.strip("[]") for part in match.groups())

    def between(client: str, client_port: str, server: str, server_port: str) -> str:
        return (
            f"client.ip = {client} and client.port = {client_port} "
            f"and server.ip = {server} and server.port = {server_port}"
        )

    one = between(first, first_port, second, second_port)
    other = between(second, second_port, first, first_port)
    return f"({one}) or ({other})"


def _write_json(batches: list[Any]) -> None:
    """Print the rows as a list, each as `--format jsonl` writes it."""
    from lastack.export.jsonl import json_rows

    rows = [json.loads(line) for batch in batches for line in json_rows(batch)]
    sys.stdout.write(json.dumps(rows, indent=1, ensure_ascii=False) + "\n")
