"""`lastack profiles list`: the systems."""

from __future__ import annotations

import sys

import click

from lastack.cli.profiles import write_json

_EPILOG = """\b
Examples:
  lastack profiles list
  lastack profiles list linux               names, titles and vendors with linux in them
  lastack profiles list --format csv
"""


@click.command("list", epilog=_EPILOG)
@click.argument("pattern", default="")
@click.option(
    "--kind", default=None, help="Only of this kind: firewall, nat, loadbalancer, proxy, host, standard."
)
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "csv"]), default="text", show_default=True
)
def command(pattern: str, kind: str | None, form: str) -> None:
    """List the systems: how long a half-closed session lives, what starts that time, idle or absolute.

    PATTERN keeps those whose name, title or vendor contains it. Your own, in the folders of $LASTACK_PROFILES, are
    listed too.
    """
    from lastack.app.profiles import all_profiles, load_profile, own_profiles
    from lastack.firewall.problems import near
    from lastack.firewall.words import Kind
    from lastack.view.profiles import profile_row, render_list

    if kind is not None and kind not in list(Kind):
        raise click.UsageError(f"--kind {kind}: {near(kind, list(Kind))}")
    wanted = pattern.casefold()
    found = [
        profile
        for profile in (*all_profiles(), *map(load_profile, own_profiles()))
        if wanted in f"{profile.name} {profile.title} {profile.vendor}".casefold()
        and (kind is None or profile.kind == kind)
    ]
    if not found:
        raise click.UsageError(f"no profile has {pattern!r} in its name, title or vendor")
    rows = [profile_row(profile) for profile in found]
    if form == "json":
        write_json(rows)
    elif form == "csv":
        import csv

        writer = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    else:
        sys.stdout.write(render_list(found))
