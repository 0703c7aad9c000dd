"""`lastack policy check`: the commit step."""

from __future__ import annotations

import sys

import click

from lastack.cli.profiles import write_json

_EPILOG = """\b
Examples:
  lastack policy check policy.toml
  lastack policy check policy.toml --running running.toml
  lastack policy check policy.toml --format json | jq '.problems[]'
Exit code: 0 it can be committed, 1 it has errors (with --strict, warnings too), 3 it cannot be read.
"""


@click.command("check", epilog=_EPILOG)
@click.argument("file")
@click.option("--running", metavar="FILE", help="The policy that runs now: say what changes.")
@click.option("--strict", is_flag=True, help="Exit with 1 on warnings too.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(file: str, running: str | None, strict: bool, form: str) -> int:
    """Check a policy as a commit would: errors with their place, warnings, effective times, what changes.

    A Time Wait above Half Closed is accepted, as PAN-OS does, with the value that really runs.
    """
    from lastack.app.policies import check_policy, load_policy
    from lastack.firewall.diff import diff_policies
    from lastack.firewall.problems import Severity
    from lastack.view.page import Page
    from lastack.view.policy import (
        change_json,
        policy_json,
        problem_json,
        render_changes,
        render_policy,
        render_problems,
    )

    found = check_policy(file)
    severities = {problem.severity for problem in found.problems}
    changes = None
    if running is not None and found.usable:
        changes = diff_policies(*load_policy(running), found.policy, found.profile)
    if form == "json":
        write_json(
            {
                "file": file,
                "usable": found.usable,
                "problems": [problem_json(problem, found.source) for problem in found.problems],
                "policy": policy_json(found.policy, found.profile) if found.usable else None,
                "changes": None if changes is None else [change_json(change) for change in changes],
            }
        )
    else:
        page = Page()
        render_problems(page, found.problems, file, found.source)
        if found.usable:
            render_policy(page, found.policy, found.profile)
        if changes is not None and running is not None:
            render_changes(page, changes, running)
        sys.stdout.write(page.text())
    failed = not found.usable or (strict and Severity.warning in severities)
    return 1 if failed else 0
