"""`lastack config check`: every mistake in a configuration, with its line."""

from __future__ import annotations

import json
import sys

import click

_EPILOG = """\b
Examples:
  lastack config check
  lastack config check zones.toml
  lastack config check zones.toml --format json | jq '.problems[]'
Exit code: 0 it can be used, 1 it has mistakes (with --strict, warnings too), 3 it cannot be read.
"""


@click.command("check", epilog=_EPILOG)
@click.argument("file", required=False)
@click.option("--strict", is_flag=True, help="Exit with 1 on warnings too.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(file: str | None, strict: bool, form: str) -> int:
    """Say everything that is wrong or remarkable in a configuration: mistakes, what never matches, what overlaps."""
    from lastack.app.config import check_config
    from lastack.app.config_place import needed_config
    from lastack.firewall.problems import Severity

    checked = check_config(needed_config(file))
    severities = {problem.severity for problem in checked.problems}
    if form == "json":
        content = {
            "file": checked.path,
            "usable": checked.usable,
            "zones": len(checked.classes.zones),
            "applications": len(checked.classes.applications),
            "problems": [
                {
                    "severity": problem.severity.value,
                    "line": checked.line(problem) or None,
                    "path": problem.path or None,
                    "message": problem.message,
                    "remedy": problem.remedy or None,
                }
                for problem in checked.problems
            ],
        }
        sys.stdout.write(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    else:
        from lastack.view.cells import plural

        for problem in checked.problems:
            sys.stdout.write(f"{problem.severity.value}: {checked.told(problem)}\n")
        zones, apps = len(checked.classes.zones), len(checked.classes.applications)
        state = "can be used" if checked.usable else "cannot be used"
        sys.stdout.write(f"{checked.path}: {state}: {plural(zones, 'zone')}, {plural(apps, 'application')}\n")
    return 1 if not checked.usable or (strict and Severity.warning in severities) else 0
