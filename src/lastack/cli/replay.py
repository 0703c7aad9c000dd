"""`lastack replay`: the packets of captures through a box, one by one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from lastack.cli.boxing import box_options
from lastack.cli.common import Count, PositiveCount, Reading, reading_options, tell

if TYPE_CHECKING:
    from lastack.export.verdicts import VerdictWriter
    from lastack.firewall.table import Box

_EPILOG = """\b
Examples:
  lastack replay trace.pcap --profile panos
  lastack replay trace.pcap --profile panos --set half_closed=30s --app ssh.half_closed=1h
  lastack replay *.pcap.gz --policy policy.toml --format csv -o broken.csv
  lastack replay trace.pcap --profile linux_conntrack --table-size 1000
  lastack replay trace.pcap --profile pf --packets verdicts.jsonl
"""


@click.command("replay", epilog=_EPILOG)
@click.argument("captures", nargs=-1, required=True, metavar="CAPTURE...")
@box_options
@click.option("--no-forks", is_flag=True, help="Do not run the other answers to open questions.")
@click.option("--table-size", type=PositiveCount(), help="Entries that the table holds (default: no limit).")
@click.option(
    "--no-adopt",
    is_flag=True,
    help="Treat sessions under way when the capture begins as unknown (default: take their entries as known).",
)
@click.option(
    "--packets", metavar="FILE", help="Write a verdict for each packet (.jsonl, else CSV; - for CSV)."
)
@click.option("--limit", type=Count(), default=20, show_default=True, help="Broken sessions that text lists.")
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "jsonl", "csv"]),
    help="Format (default: by the name of -o, else text); csv and jsonl list the broken sessions.",
)
@click.option("-o", "--output", default="-", metavar="FILE", help="Where to write; - is standard output.")
@reading_options
def command(
    captures: tuple[str, ...],
    profile: str | None,
    policy: str | None,
    sets: tuple[str, ...],
    apps: tuple[str, ...],
    forks: tuple[str, ...],
    no_forks: bool,
    table_size: int | None,
    no_adopt: bool,
    packets: str | None,
    limit: int,
    form: str | None,
    output: str,
    reading: Reading,
) -> None:
    """Run the packets of captures through a firewall or NAT, one by one, and say what it would have done.

    This is the exact form of `lastack whatif`: every packet is forwarded, dropped or answered with RST. Open loop: what
    the ends would have done instead is not simulated.
    """
    form = form or {".json": "json", ".jsonl": "jsonl", ".csv": "csv"}.get(
        output[output.rfind(".") :] if "." in output else "", "text"
    )
    if packets == "-" and output == "-":
        raise click.UsageError("--packets -: name a file for the summary with -o")
    if reading.follow or reading.idle_timeout is not None:
        raise click.UsageError(
            "--follow and --idle-timeout do not go with replay: it reads captures to their end"
        )
    # Imported late: parsing a command line must not wait for the compiler.
    from dataclasses import replace

    from lastack.app.replay import replay_captures
    from lastack.app.scenarios import configured
    from lastack.app.whatif import forks_of
    from lastack.cli.progress import prepare_replay, shown_progress
    from lastack.replay.forks import at_the_latest, difference, is_coarse
    from lastack.store.target import Target
    from lastack.view.replay import as_json, as_lines, render

    base = configured(profile, policy, sets, apps, forks, config=reading.config)
    box = base.boxes[0]
    named: list[tuple[str, Box]] = []
    if not no_forks:
        named = [(other.name, other.boxes[0]) for other in forks_of(base)]
        if is_coarse(box):
            named.append(("entries go as late as they may", at_the_latest(box)))
    boxes = [box, *(other for _, other in named)]
    if table_size is not None:
        boxes = [replace(one, room=replace(one.room, limit=table_size)) for one in boxes]
    writer = _writer(packets, captures, boxes[0]) if packets is not None else None
    prepare_replay(reading.quiet)
    try:
        with shown_progress(reading, captures) as progress:
            done, summary = replay_captures(
                captures,
                boxes,
                reading.track_options,
                progress,
                None if writer is None else writer.write,
                adopt=not no_adopt,
            )
    except BaseException:
        if writer is not None:
            writer.discard()
        raise
    if writer is not None:
        writer.close()
    differences = [difference(name, done[0], one) for (name, _), one in zip(named, done[1:], strict=True)]
    read = summary.ledger.packets
    if form == "text":
        text = render(base.profile.title, done[0], differences, read, limit)
    elif form == "json":
        text = json.dumps(as_json(base.name, done[0], differences, read), indent=1, ensure_ascii=False) + "\n"
    else:
        text = as_lines(done[0], form)
    target = Target(output)
    target.stream.write(text.encode())
    target.commit()
    tell(list(map(str, summary.problems)), reading)


def _writer(packets: str, captures: tuple[str, ...], box: Box) -> VerdictWriter:
    from lastack.app.replay import capture_names, state_name
    from lastack.export.verdicts import VerdictWriter
    from lastack.replay.outcome import Action, Reason

    def word(code: int) -> Any:
        return state_name(box, 0, code)

    words = ([action.name for action in Action], [reason.name for reason in Reason], word)
    form = "jsonl" if packets.endswith((".jsonl", ".ndjson")) else "csv"
    return VerdictWriter(packets, form, capture_names(captures), words)
