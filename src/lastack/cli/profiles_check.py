"""`lastack profiles check`: exact errors in people's own profiles."""

from __future__ import annotations

import sys

import click

from lastack.cli.profiles import write_json

_EPILOG = """\b
Examples:
  lastack profiles check mybox.toml
  lastack profiles check profiles/*.toml --format json
Exit code: 0 all can be used, 1 a file has errors, 3 a file cannot be read.
"""


@click.command("check", epilog=_EPILOG)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(files: tuple[str, ...], form: str) -> int:
    """Check profiles: every mistake with its line, its key and what to do; its readings and switches too."""
    from lastack.app.profiles import check_profile
    from lastack.firewall.problems import line_of
    from lastack.view.profiles import half_close_facts

    report, failed = [], False
    for path in files:
        profile, problems, source = check_profile(path)
        failed |= bool(problems)
        if form == "json":
            found = [
                {
                    "severity": str(p.severity),
                    "path": p.path,
                    "line": line_of(source, p.path),
                    "message": p.message,
                    "remedy": p.remedy,
                }
                for p in problems
            ]
            report.append({"file": path, "name": profile.name, "usable": not problems, "problems": found})
            continue
        for problem in problems:
            sys.stdout.write(f"{problem.severity}: {problem.text(path, source)}\n")
        if not problems:
            half = half_close_facts(profile)
            about = (
                f"half closed {half['seconds']} s ({half['timer']})"
                if half["timer"]
                else "no half-closed timer"
            )
            sys.stdout.write(f"{path}: can be used: {len(profile.timers)} timers, {about}\n")
    if form == "json":
        write_json(report)
    return 1 if failed else 0
