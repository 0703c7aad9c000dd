"""`lastack lab list`: the labs that run now."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict

import click


@click.command("list")
@click.option("--format", "form", type=click.Choice(["table", "json"]), default="table", show_default=True)
def command(form: str) -> None:
    """List the labs of this user that run, oldest first, with their hosts."""
    from lastack.lab.registry import labs
    from lastack.model.units import format_duration
    from lastack.view.page import Page

    running = labs()
    if form == "json":
        sys.stdout.write(json.dumps([asdict(lab) for lab in running], indent=1) + "\n")
        return
    if not running:
        click.echo("lastack: no lab runs", err=True)
        return
    page = Page()
    rows = [
        (
            lab.name,
            lab.topology,
            str(lab.pid),
            format_duration(time.time_ns() - lab.started_ns),
            ", ".join(f"{host} {' '.join(lab.addresses[host].values())}".strip() for host in lab.hosts),
        )
        for lab in running
    ]
    page.grid(rows, "llrrt", ("lab", "topology", "process", "for", "hosts"))
    sys.stdout.write(page.text())
