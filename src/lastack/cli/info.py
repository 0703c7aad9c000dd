"""`lastack info`: what is in a capture file, before any question about its sessions."""

from __future__ import annotations

import json
import sys

import click

_EPILOG = """\b
Examples:
  lastack info trace.pcapng
  lastack info *.pcap.gz
  lastack info trace.pcapng --format json | jq .[0].interfaces
"""


@click.command("info", epilog=_EPILOG)
@click.argument("captures", nargs=-1, required=True, metavar="CAPTURE...")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(captures: tuple[str, ...], form: str) -> None:
    """Say what is in captures: format, interfaces, link types, times, what was dropped, what carries TCP, damage.

    Each file is read twice; - (standard input) once, and then without what carries TCP.
    """
    from lastack.app.info import inspect_capture
    from lastack.cli.common import Reading
    from lastack.cli.progress import prepare_kernels
    from lastack.view.info import info_json, render_info

    prepare_kernels(Reading(None, None, None, False, False, True))
    described = [inspect_capture(name) for name in captures]
    if form == "json":
        facts = [info_json(info, ledger) for info, ledger in described]
        sys.stdout.write(json.dumps(facts, indent=1, ensure_ascii=False, default=str) + "\n")
    else:
        sys.stdout.write("\n".join(render_info(info, ledger) for info, ledger in described))
