"""`lastack whatif`: what a firewall's timers would have done to the sessions of captures and datasets."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING, Any

import click

from lastack.cli.asking import filter_option, opened
from lastack.cli.boxing import box_options
from lastack.cli.common import Count, Duration, PositiveCount, Reading, reading_options, tell

if TYPE_CHECKING:
    from lastack.app.grouped import Source
    from lastack.query.ast import Node
    from lastack.replay.load import Load
    from lastack.replay.scenario import Answer, Scenario

_EPILOG = """\b
Examples:
  lastack whatif dataset --profile panos
  lastack whatif dataset --profile panos --set half_closed=30s --app ssh.half_closed=1h
  lastack whatif dataset --profile panos --set half_closed=30s --list --format csv
  lastack whatif dataset --compare panos_legacy,panos,cisco_asa,linux_conntrack
  lastack whatif dataset --profile panos --sweep half_closed=5s..1h -o sweep.svg
  lastack whatif dataset --policy policy.toml --growth 2 --table-size 655360
  lastack whatif dataset --profile fortigate --flood 10000/s --table-size 1M
  lastack whatif --arrivals 1300/s --hold 1h --table-size 655360       arithmetic only, no input
"""
_FORMS = ("text", "json", "csv", "jsonl", "png", "svg")


class Rate(click.ParamType[float]):
    """So many a second, minute or hour: `10000/s`, `1.3k/s`, `600/m`."""

    name = "RATE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the rate per second."""
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?)([kM]?)(?:/(s|m|h))?", str(value))
        if match is None or float(match[1]) == 0:
            self.fail(f"{value!r} is not a rate such as 10000/s, 1.3k/s or 600/m", param, ctx)
        scale = {"": 1.0, "k": 1e3, "M": 1e6}[match[2]]
        return float(match[1]) * scale / {None: 1, "s": 1, "m": 60, "h": 3600}[match[3]]


@click.command("whatif", epilog=_EPILOG)
@click.argument("inputs", nargs=-1, metavar="CAPTURE|DATASET...")
@box_options
@click.option("--compare", metavar="NAME,...", help="Several boxes side by side.")
@click.option(
    "--sweep", metavar="NAME=LOW..HIGH", help="A timer over a range (/N for N values), or over a list."
)
@click.option("--list", "listed", is_flag=True, help="List the sessions that break.")
@click.option("--limit", type=Count(), help="Sessions to list at most (default: 100 in text, else all).")
@click.option("--growth", type=click.FloatRange(min=0.01), help="So many times the sessions, such as 2.")
@click.option("--flood", type=Rate(), help="SYNs that nobody completes, such as 10000/s.")
@click.option(
    "--table-size", type=PositiveCount(), help="Entries that the table holds, such as 655360 or 1M."
)
@click.option("--arrivals", type=Rate(), help="Without input: new entries, such as 1300/s ...")
@click.option("--hold", type=Duration(), help="... that stand so long each, such as 1h.")
@filter_option
@click.option(
    "--format", "form", type=click.Choice(_FORMS), help="Format (default: by the name of -o, else text)."
)
@click.option("-o", "--output", default="-", metavar="FILE", help="Where to write; - is standard output.")
@reading_options
def command(
    inputs: tuple[str, ...],
    profile: str | None,
    policy: str | None,
    sets: tuple[str, ...],
    apps: tuple[str, ...],
    forks: tuple[str, ...],
    compare: str | None,
    sweep: str | None,
    listed: bool,
    limit: int | None,
    growth: float | None,
    flood: float | None,
    table_size: int | None,
    arrivals: float | None,
    hold: int | None,
    where: str,
    form: str | None,
    output: str,
    reading: Reading,
) -> None:
    """Say which sessions a firewall's or NAT's timers would have broken, and what its table would have held.

    It works on what the sessions keep (datasets of `lastack analyze -o`, or captures): no packet is read again. Which
    session breaks, when, and the bytes lost are exact wherever the session record can say so; the page tells where it
    cannot. Times out of the product's range are taken as they are.
    """
    ending = output.rpartition(".")[2].casefold()
    form = form or (ending if output != "-" and ending in _FORMS else "text")
    if arrivals is not None or hold is not None:
        _arithmetic(arrivals, hold, table_size, form, output)
        return
    if not inputs:
        raise click.UsageError("name captures or datasets (or --arrivals and --hold for arithmetic only)")
    if sum((compare is not None, sweep is not None, listed)) > 1:
        raise click.UsageError("--compare, --sweep and --list exclude each other")
    if form in ("png", "svg") and sweep is None:
        raise click.UsageError(f"{form} shows a sweep: give --sweep half_closed=5s..1h")
    if form == "png" and output == "-":
        raise click.UsageError("png is not for a terminal: name a file with -o")
    if form in ("csv", "jsonl") and sweep is None and not listed:
        raise click.UsageError(f"{form} is for --sweep and --list; json has everything")
    # Imported late: parsing a command line must not wait for Arrow.
    from lastack.app.scenarios import configured, sweep_of
    from lastack.query.parse import parse_filter

    node = parse_filter(where)
    if compare is not None:
        names = [name.strip() for name in compare.split(",") if name.strip()]
        if not names:
            raise click.UsageError("--compare needs boxes, such as --compare panos,cisco_asa")
        if profile is not None or policy is not None:
            base = configured(profile, policy, sets, apps, forks, config=reading.config)
            scenarios = [base, *(configured(name) for name in names)]
        else:
            scenarios = [configured(name, None, sets, apps, config=reading.config) for name in names]
    else:
        base = configured(profile, policy, sets, apps, forks, config=reading.config)
        scenarios = [sweep_of(base, sweep) if sweep is not None else base]
    with opened(inputs, reading) as source:
        if listed:
            data = _list(source, scenarios[0], node, form, limit)
        elif compare is not None or sweep is not None:
            data = _many(source, scenarios, node, form)
        else:
            data = _single(source, scenarios[0], node, form, growth, flood, table_size)
        tell(source.notes, reading)
    _write(data, output)


def _single(
    source: Source,
    one: Scenario,
    node: Node | None,
    form: str,
    growth: float | None,
    flood: float | None,
    table_size: int | None,
) -> bytes:
    from lastack.app.detail import run_detail
    from lastack.app.whatif import forks_of, loads_of, run_whatif
    from lastack.view.whatif import render_single
    from lastack.view.whatif_data import detail_json, load_json, whatif_json

    whole = run_whatif(source, [one, *forks_of(one)], node)
    answer, others = whole.answers[0], whole.answers[1:]
    detail = run_detail(source, one, node, 0)
    loads = loads_of(answer, growth, flood, table_size)
    if form == "json":
        document = {
            **whatif_json(whole),
            "detail": detail_json(detail),
            "loads": {name: load_json(found) for name, found in loads},
        }
        return _json(document)
    return render_single(answer, whole, detail, others, loads).encode()


def _many(source: Source, scenarios: list[Scenario], node: Node | None, form: str) -> bytes:
    from lastack.app.whatif import run_whatif
    from lastack.view.sweep import image, render_sweep
    from lastack.view.whatif import render_compare
    from lastack.view.whatif_data import sweep_csv, whatif_json

    whole = run_whatif(source, scenarios, node)
    first: Answer = whole.answers[0]
    if form == "json":
        return _json(whatif_json(whole))
    if not first.scenario.settings:
        return render_compare(whole).encode()
    if form in ("png", "svg"):
        return image(first, form)
    return (sweep_csv(first) if form == "csv" else render_sweep(first, whole)).encode()


def _list(source: Source, one: Scenario, node: Node | None, form: str, limit: int | None) -> bytes:
    import csv
    import io

    from lastack.app.detail import ends_of, run_detail
    from lastack.view.whatif import render_list
    from lastack.view.whatif_data import broken_record

    if limit is None and form == "text":
        limit = 100
    detail = run_detail(source, one, node, limit)
    ends = ends_of(source, {broken.session_id for broken in detail.broken})
    if form == "text":
        return render_list(detail, ends).encode()
    records = [broken_record(broken, ends.get(broken.session_id, {})) for broken in detail.broken]
    if form == "json":
        return _json({"broken": detail.total, "sessions": records})
    out = io.StringIO()
    if form == "jsonl":
        for record in records:
            out.write(json.dumps(record, ensure_ascii=False) + "\n")
    elif records:
        writer = csv.DictWriter(out, list(records[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(records)
    return out.getvalue().encode()


def _arithmetic(
    arrivals: float | None, hold: int | None, table_size: int | None, form: str, output: str
) -> None:
    """Answer what a stream of entries does to a table, without any session."""
    from lastack.replay.load import load
    from lastack.view.whatif import render_load
    from lastack.view.whatif_data import load_json

    if arrivals is None or hold is None:
        raise click.UsageError("--arrivals and --hold go together: --arrivals 1300/s --hold 1h")
    found: Load = load(table_size or 0, 0.0, arrivals, hold / 1e9)
    data = _json(load_json(found)) if form == "json" else render_load(found, arrivals, hold).encode()
    _write(data, output)


def _json(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()


def _write(data: bytes, output: str) -> None:
    from lastack.store.target import Target

    if output == "-":
        sys.stdout.write(data.decode())
        return
    target = Target(output)
    try:
        target.stream.write(data)
    except BaseException:
        target.discard()
        raise
    target.commit()
