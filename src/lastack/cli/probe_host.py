"""`lastack probe host`: what this host's own TCP does with closing and idle connections."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from lastack.cli.common import Duration

_EPILOG = """\b
Examples:
  lastack probe host
  lastack probe host --half-closed 30s --idle 350s        against what a box on the path does
  lastack probe path HOST --format json > path.json; lastack probe host --path path.json
"""


@click.command("host", epilog=_EPILOG)
@click.option("--half-closed", type=Duration(), help="How long the path keeps half-closed connections.")
@click.option("--idle", type=Duration(), help="How long the path keeps idle connections.")
@click.option(
    "--path", "card", type=click.Path(dir_okay=False), help="Take both from `probe path --format json`."
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(half_closed: int | None, idle: int | None, card: str | None, form: str) -> int:
    """Show how long this host keeps closing and idle connections, and where it contradicts the path.

    Exit code 1 when something contradicts.
    """
    from lastack.prober.host import contradictions, settings

    if card is not None:
        found_half, found_idle = _of_card(card)
        half_closed = half_closed if half_closed is not None else found_half
        idle = idle if idle is not None else found_idle
    found = settings()
    problems = contradictions(
        found,
        None if half_closed is None else half_closed / 1e9,
        None if idle is None else idle / 1e9,
    )
    if form == "json":
        body = {"settings": [asdict(setting) for setting in found], "contradictions": problems}
        sys.stdout.write(json.dumps(body, indent=1) + "\n")
        return 1 if problems else 0
    from lastack.view.page import Page

    page = Page()
    page.heading("TCP of this host")
    rows = []
    for setting in found:
        value = "" if setting.value is None else f"{setting.value:,}"
        lasts = "" if setting.seconds is None else f"{setting.seconds:,g} s"
        rows.append(
            (
                setting.name,
                value,
                lasts,
                setting.meaning + (f" [! {setting.warning}]" if setting.warning else ""),
            )
        )
    page.grid(rows, "lrrt", ("setting", "value", "lasts", "meaning"))
    if problems:
        page.heading("Against the path")
        for problem in problems:
            page.say(problem, indent="  • ", hang="    ", style="notice")
    elif half_closed is not None or idle is not None:
        page.heading("Against the path")
        page.say("nothing contradicts")
    sys.stdout.write(page.text())
    return 1 if problems else 0


def _of_card(path: str) -> tuple[int | None, int | None]:
    """Return the shortest half-closed and idle bounds of a path test, in ns."""
    from lastack.model.errors import InputError

    try:
        findings: list[dict[str, Any]] = json.loads(Path(path).read_text(encoding="utf-8"))["findings"]
        bounds: dict[bool, list[int]] = {True: [], False: []}
        for finding in findings:
            if finding["broken_from_ns"] is not None:
                bounds[str(finding["name"]).startswith("half_close")].append(int(finding["broken_from_ns"]))
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: is no answer of `lastack probe path --format json`") from error
    return min(bounds[True], default=None), min(bounds[False], default=None)
