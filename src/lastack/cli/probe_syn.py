"""`lastack probe syn`: does it answer a SYN? Ping for TCP, without opening a connection."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from lastack.cli.common import Duration, PositiveCount

if TYPE_CHECKING:
    from lastack.app.probe_syn import SynTarget, Tally
    from lastack.prober.outcome import Result

_EPILOG = """\b
Examples:
  lastack probe syn www.example.net:443
  lastack probe syn -c 10 -i 200ms 192.0.2.7:22 '[2001:db8::7]:22'
  lastack probe syn --up-only 192.0.2.0/24:443         a whole network, once
\b
Exit codes: 0 every target answered at least once with SYN-ACK, 1 one did not, 2 wrong usage, 4 missing privilege.
"""


@click.command("syn", epilog=_EPILOG)
@click.argument("targets", nargs=-1, required=True, metavar="HOST:PORT...")
@click.option(
    "-c", "--count", type=click.IntRange(0), help="Rounds; 0 until Ctrl-C (default: 4, of a network 1)."
)
@click.option(
    "-i", "--interval", type=Duration(), default="1s", show_default=True, help="From round to round."
)
@click.option("-W", "--timeout", type=Duration(), default="2s", show_default=True, help="For one answer.")
@click.option(
    "--method",
    type=click.Choice(["auto", "syn", "connect"]),
    default="auto",
    show_default=True,
    help="Half-open by raw socket, or connect().",
)
@click.option(
    "--rate", type=PositiveCount(), default=20_000, show_default=True, help="SYNs sent a second, at most."
)
@click.option("-4", "family", flag_value="4", help="IPv4 only.")
@click.option("-6", "family", flag_value="6", help="IPv6 only.")
@click.option("--up-only", is_flag=True, help="Lines of answers only.")
@click.option("--format", "form", type=click.Choice(["text", "jsonl"]), default="text", show_default=True)
def command(
    targets: tuple[str, ...],
    count: int | None,
    interval: int,
    timeout: int,
    method: str,
    rate: int,
    family: str | None,
    up_only: bool,
    form: str,
) -> int:
    """Ask whether targets answer a SYN: up (SYN-ACK), refused (RST), unreachable (ICMP), filtered (silence).

    No connection is opened: the SYN-ACK is answered by RST, the application sees nothing.
    """
    from lastack.app.probe_syn import Asking, ask_targets, expand

    asked = expand(targets, int(family or 0))
    rounds = (
        count if count is not None else 1 if any("/" in word.rpartition(":")[0] for word in targets) else 4
    )

    line = _json if form == "jsonl" else _line

    def told(target: SynTarget, number: int, result: Result, rtt_ns: int | None) -> None:
        if up_only and not result.up:
            return
        sys.stdout.write(line(target, number, result, rtt_ns) + "\n")
        if rounds != 1:
            sys.stdout.flush()

    def warned(line: str) -> None:
        click.echo(f"lastack: {line}", err=True)

    asking = Asking(rounds, interval, timeout, method, rate)
    tallies = ask_targets(asked, asking, told, warned)
    if form == "text":
        _summary(tallies)
    return 0 if all(tally.up for tally in tallies.values()) else 1


def _json(target: SynTarget, number: int, result: Result, rtt_ns: int | None) -> str:
    if result.up and target.name.startswith(
        target.address
    ):  # thousands of lines, and nothing in them to escape
        where = f'"target": "{target.name}", "address": "{target.address}", "port": {target.port}'
        found = f'"round": {number}, "result": "up", "rtt_ns": {rtt_ns}, "attempts": {result.attempts}'
        return f'{{{where}, {found}, "icmp_type": null, "icmp_code": null, "reporter": "", "detail": ""}}'
    row = {
        "target": target.name,
        "address": target.address,
        "port": target.port,
        "round": number,
        "result": result.opening.value,
        "rtt_ns": rtt_ns,
        "attempts": result.attempts,
        "icmp_type": result.icmp_type,
        "icmp_code": result.icmp_code,
        "reporter": result.reporter,
        "detail": result.detail,
    }
    return json.dumps(row)


def _line(target: SynTarget, number: int, result: Result, rtt_ns: int | None) -> str:
    from lastack.model.units import format_duration

    time = "" if rtt_ns is None else f" time={format_duration(rtt_ns)}"
    by = f" from {result.reporter}" if result.reporter else ""
    detail = f" ({result.detail}{by})" if result.detail and not result.up else ""
    again = f" after {result.attempts} SYN" if result.up and result.attempts > 1 else ""
    where = "" if target.address in target.name else f" [{target.address}]"
    return f"{target.name}{where} {result.opening.value}{detail}{again} seq={number}{time}"


def _summary(tallies: dict[SynTarget, Tally]) -> None:
    from lastack.model.units import format_duration
    from lastack.prober.outcome import Opening

    if len(tallies) > 20:
        totals: dict[str, int] = {}
        for tally in tallies.values():
            for opening, number in tally.results.items():
                totals[opening.value] = totals.get(opening.value, 0) + number
        text = ", ".join(f"{number:,} {name}" for name, number in sorted(totals.items()))
        click.echo(f"--- {len(tallies):,} targets: {text}", err=True)
        return
    for target, tally in tallies.items():
        others = ", ".join(f"{n} {o.value}" for o, n in sorted(tally.results.items()) if o is not Opening.up)
        loss = 100 * (tally.asked - tally.up) / max(tally.asked, 1)
        line = f"--- {target.name}: {tally.asked} asked, {tally.up} up, {loss:.0f}% not"
        line += f" ({others})" if others else ""
        if tally.rtts_ns:
            times = sorted(tally.rtts_ns)
            low, mean, high = (format_duration(ns) for ns in (times[0], sum(times) // len(times), times[-1]))
            line += f"; min/avg/max {low} / {mean} / {high}"
        sys.stdout.write(line + "\n")
