"""`lastack lab clean`: removes what labs of killed programs have left."""

from __future__ import annotations

import click


@click.command("clean")
@click.option("-n", "--dry-run", is_flag=True, help="Say what would be removed, and remove nothing.")
def command(dry_run: bool) -> None:
    """End processes and remove files of labs whose program is gone.

    A lab cleans up behind itself, also when its program is killed. This is for the case that its cleaner was
    killed as well. Labs that run are not touched.
    """
    from lastack.lab.registry import leftovers, remove

    found = leftovers()
    for folder, processes in found:
        did = "would remove" if dry_run else "removed"
        if not dry_run:
            from lastack.lab.reaper import kill

            kill(processes)
            remove(folder)
        also = f" and {len(processes)} processes" if processes else ""
        click.echo(f"{did} {folder.name}{also}")
    if not found:
        click.echo("lastack: nothing is left of any lab", err=True)
