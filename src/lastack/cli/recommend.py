"""`lastack recommend`: the smallest timers that break at most a share of the sessions."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import click

from lastack.cli.asking import filter_option, opened
from lastack.cli.common import Reading, reading_options, tell

_EPILOG = """\b
Examples:
  lastack recommend dataset --profile panos --break-at-most 0.01%
  lastack recommend dataset --policy policy.toml --break-at-most 0
  lastack recommend dataset --profile linux_conntrack --format json | jq .timers_s
"""


class Share(click.ParamType[float]):
    """A share: `0.01%` or `0.0001`."""

    name = "SHARE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the share as a number from 0 to 1."""
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"(\d{1,3}(?:\.\d{1,9})?)\s*(%?)", str(value).strip())
        share = float(match[1]) / (100 if match[2] else 1) if match else 2.0
        if share > 1:
            self.fail(f"{value!r} is not a share such as 0.01% or 0.0001", param, ctx)
        return share


@click.command("recommend", epilog=_EPILOG)
@click.argument("inputs", nargs=-1, required=True, metavar="CAPTURE|DATASET...")
@click.option("--profile", metavar="NAME", help="The box: a profile or its file.")
@click.option("--policy", metavar="FILE", help="The box as a policy file configures it.")
@click.option(
    "--break-at-most",
    "most",
    type=Share(),
    default="0.01%",
    show_default=True,
    help="Sessions that may break.",
)
@filter_option
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@reading_options
def command(
    inputs: tuple[str, ...],
    profile: str | None,
    policy: str | None,
    most: float,
    where: str,
    form: str,
    reading: Reading,
) -> None:
    """Recommend timers: the smallest that break at most a share of these sessions, and what they save.

    It also tells which applications are worth an override, and the curve of broken sessions against table size. Past
    sessions are no promise: take a capture that has the rare long ones (nights, month ends) in it.
    """
    # Imported late: parsing a command line must not wait for Arrow.
    from lastack.app.recommend import recommend
    from lastack.app.scenarios import configured
    from lastack.query.parse import parse_filter
    from lastack.view.recommend import advice_json, render_advice

    node = parse_filter(where)
    base = configured(profile, policy)
    with opened(inputs, reading) as source:
        advice = recommend(source, base, most, node)
        tell(source.notes, reading)
    if form == "json":
        document = advice_json(
            advice.point, advice.curve, advice.gains, advice.most, advice.sessions, advice.then
        )
        sys.stdout.write(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
        return
    text = render_advice(
        advice.point, advice.curve, advice.gains, (advice.now, advice.then), advice.most, advice.sessions
    )
    sys.stdout.write(text)
