"""`lastack show`: one session, named by its id or its two ends: verdict, ladder of its packets, facts."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lastack.cli.common import PositiveCount, Reading, reading_options, tell

if TYPE_CHECKING:
    from lastack.app.show import Shown

_EPILOG = """\b
Examples:
  lastack show 10.0.0.1:49152-10.0.0.5:443 -i trace.pcap
  lastack show '[2001:db8::1]:49152-[2001:db8::5]:443' -i dataset
  lastack show 5577006791947779410 -i dataset --packets session.pcapng
  lastack show CB5yWlOnGKtc -i dataset            the uid of --format zeek
  lastack show 5577006791947779410 -i dataset --captures /srv/pcap
  lastack show 10.0.0.1:49152-10.0.0.5:443 -i trace.pcap --format json | jq .verdict

\b
In the ladder, an arrow is a packet with its flags and bytes of payload; left and right of the
lifelines stands the state of each end after it (RFC 9293), where it changes. `again` is a
retransmission, `late` fills a hole, `ahead` leaves one, `overlaps` repeats a part. ● marks what
proves the verdict, and `?` a window whose scale is not known. A dashed arrow is an ICMP error
that quotes the session.
"""
_ENDS = re.compile(r"(\[[^\]]+\]|[^:\[\]]+):(\d{1,5})-(\[[^\]]+\]|[^:\[\]]+):(\d{1,5})")
_LISTED = 20
_NARROWEST, _WIDEST = 60, 132


@click.command("show", epilog=_EPILOG)
@click.argument("session")
@click.option(
    "-i",
    "--from",
    "inputs",
    multiple=True,
    required=True,
    metavar="CAPTURE|DATASET",
    help="Where the session is; may be given several times.",
)
@click.option("--nth", type=PositiveCount(), default=1, metavar="N", help="Which one, if several fit.")
@click.option("--all", "everything", is_flag=True, help="Show every packet in the ladder.")
@click.option(
    "--packets-shown",
    type=PositiveCount(),
    default=40,
    show_default=True,
    help="Packets in the ladder; stretches between them are folded.",
)
@click.option(
    "--packets", "target", metavar="FILE.pcapng", help="Write the session's packets to a capture of its own."
)
@click.option(
    "--captures",
    multiple=True,
    metavar="FILE|FOLDER",
    help="Where a dataset's captures are now, if they were moved.",
)
@click.option("--no-ladder", is_flag=True, help="Do not read the packets again.")
@click.option("--record", is_flag=True, help="Show every field of the record with its meaning.")
@click.option("--ascii", "plain", is_flag=True, help="Draw with ASCII only.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@reading_options
def command(
    session: str,
    inputs: tuple[str, ...],
    nth: int,
    everything: bool,
    packets_shown: int,
    target: str | None,
    captures: tuple[str, ...],
    no_ladder: bool,
    record: bool,
    plain: bool,
    form: str,
    reading: Reading,
) -> None:
    """Say everything about one session.

    SESSION is its id, its Zeek-like uid, or its two ends as ip:port-ip:port (either first).

    Its packets are read again from the capture, also for a dataset, which knows its captures by name.
    """
    if target == "-":
        raise click.UsageError("--packets - would mix with the page: name a file")
    # Imported late: parsing a command line must not wait for Arrow.
    from lastack.app.show import Wish, show_session
    from lastack.cli.progress import shown_progress
    from lastack.model.errors import UsageError
    from lastack.query.parse import parse_filter

    wish = Wish(
        where=parse_filter(filter_of(session)),
        nth=nth,
        most=None if everything else packets_shown,
        packets=target is not None or not no_ladder,
        captures=captures,
    )
    with shown_progress(reading, inputs, packets=wish.packets) as progress:
        shown = show_session(inputs, wish, reading.track_options, progress)
    if shown is None:
        raise UsageError(f"no session {session} in {', '.join(inputs)}; `lastack sessions` lists them")
    if no_ladder:
        shown.steps = None
    if form == "json":
        _write_json(shown)
    else:
        sys.stdout.write(_page(shown, record, plain))
        _tell_others(shown, nth)
    tell(shown.notes, reading)
    if target is not None:
        _cut(shown, target, reading)


def filter_of(session: str) -> str:
    """Return the filter that finds a session by what a person calls it.

    Raises:
        UsageError: The text is neither an id, nor a uid, nor two ends.
    """
    from lastack.export.text import uid_number
    from lastack.model.errors import UsageError

    if session.isascii() and session.isdigit():
        return f"session_id = {session}"
    number = uid_number(session)
    if number is not None:
        return f"session_id = {number}"
    match = _ENDS.fullmatch(session.replace(" ", ""))
    if match is None:
        raise UsageError(
            f"{session!r} names no session: give an id, a uid, or ip:port-ip:port "
            "(an IPv6 address in brackets)"
        )
    first, first_port, second, second_port = (part.strip("[]") for part in match.groups())

    def between(client: str, client_port: str, server: str, server_port: str) -> str:
        return (
            f"client.ip = {client} and client.port = {client_port} "
            f"and server.ip = {server} and server.port = {server_port}"
        )

    one = between(first, first_port, second, second_port)
    other = between(second, second_port, first, first_port)
    return f"({one}) or ({other})"


def _page(shown: Shown, record: bool, plain: bool) -> str:
    from lastack.view.session import Look, render_session

    width = max(_NARROWEST, min(_WIDEST, shutil.get_terminal_size((80, 24)).columns))
    encoding = (sys.stdout.encoding or "ascii").lower().replace("-", "")
    look = Look(width, None, plain or not encoding.startswith(("utf", "cp65001")), record)
    captures = shown.found.captures if shown.found is not None else ()
    return render_session(shown.row, shown.verdict, shown.steps, captures, look)


def _tell_others(shown: Shown, nth: int) -> None:
    """List the other sessions that fit."""
    from lastack.app.show import MOST_MATCHES
    from lastack.view.cells import instant
    from lastack.view.table import outcome

    if len(shown.matches) < 2:
        return
    many = len(shown.matches)
    at_least = "the first " if many >= MOST_MATCHES else ""
    sys.stdout.write(f"\nSession {nth} of {at_least}{many:,} that fit; --nth N shows another:\n")
    first = max(0, min(nth - 1 - _LISTED // 2, len(shown.matches) - _LISTED))
    for number, row in enumerate(shown.matches[first : first + _LISTED], first + 1):
        mark = ">" if number == nth else " "
        text = f"{instant(row['start_ns'])}  {outcome(row):<12}  {row['cause']:<28}  {row['session_id']}"
        sys.stdout.write(f"{mark} {number:>3}  {text}\n")
    if len(shown.matches) > _LISTED:
        sys.stdout.write(f"  and {len(shown.matches) - _LISTED} more\n")


def _cut(shown: Shown, target: str, reading: Reading) -> None:
    from lastack.app.cut import cut_packets
    from lastack.model.errors import InputError

    if shown.found is None:
        raise InputError(f"{target}: not written, as the session's packets cannot be read (see above)")
    if any(Path(target).resolve() == Path(name).resolve() for name in shown.found.captures):
        raise click.UsageError(f"--packets {target}: is the capture that is read; name another file")
    count = cut_packets(shown.found, target, f"session {shown.row['session_id']}")
    tell([f"{count:,} packets written to {target}"], reading)


def _write_json(shown: Shown) -> None:
    """Print the record as `--format jsonl` writes it, the verdict, and the ladder."""
    from lastack.export.jsonl import json_rows
    from lastack.view.ladder_json import ladder_json
    from lastack.view.verdict import verdict_json

    captures = shown.found.captures if shown.found is not None else []
    content: dict[str, Any] = {
        "session": json.loads(next(iter(json_rows(shown.batch)))),
        "verdict": verdict_json(shown.verdict),
        "ladder": None if shown.steps is None else ladder_json(shown.steps, captures),
        "matches": [row["session_id"] for row in shown.matches],
        "notes": shown.notes,
    }
    sys.stdout.write(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
