"""`lastack emulator`: asks a running box through its control socket."""

from __future__ import annotations

import json
import sys

import click

from lastack.cli.common import PositiveCount

_EPILOG = """\b
Examples:
  lastack emulator sessions --control /run/box.sock
  lastack emulator reload --control /run/box.sock       read the policy again, keep the sessions
"""
_VERBS = ("stats", "sessions", "mappings", "clear", "reload", "stop")


@click.command("emulator", epilog=_EPILOG)
@click.argument("verb", type=click.Choice(_VERBS))
@click.option("--control", required=True, help="The control socket of `lastack emulate --control PATH`.")
@click.option(
    "-n", "--limit", type=PositiveCount(), default=1000, show_default=True, help="Sessions at most."
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(verb: str, control: str, limit: int, form: str) -> None:
    """Ask or tell a running box: counters, sessions, a NAT's ports; forget all, read the policy again, stop."""
    from lastack.emulator.control import ask

    answer = ask(control, verb, limit=limit)
    if form == "json" or verb == "stats":
        sys.stdout.write(json.dumps(answer, indent=1) + "\n")
    elif verb == "sessions":
        from lastack.view.emulator import sessions_text

        sys.stdout.write(sessions_text(answer))
    elif verb == "mappings":
        from lastack.view.emulator import mappings_text

        sys.stdout.write(mappings_text(answer))
    elif verb == "clear":
        sys.stdout.write(f"{answer:,} sessions forgotten\n")
    elif answer is not None:
        sys.stdout.write(f"{answer}\n")
