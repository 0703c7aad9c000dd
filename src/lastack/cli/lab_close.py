"""`lastack lab close`: a capture of every way to open and close a session, with what must be found in it."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from lastack.app.lab import Checked
    from lastack.lab.closes import Pattern, Played

_EPILOG = """\b
Examples:
  lastack lab close --list
  lastack lab close half_close_client peer_rebooted -o two.pcapng
  lastack lab close --all -o all.pcapng --verify
  lastack lab close --family forgetting -o nat.pcapng
  lastack lab close --check all.pcapng           hold a capture against its labels again
"""
_HELP = """Play PATTERNs of opening and closing with real kernels, and write what was on the wire as pcapng.

Each pattern is an interface of the capture; its first packet has a comment that says what happened and what must be
found. The labels stand beside the capture, as FILE.labels.toml: for every session, fields of the session record, the
states of both hosts' own kernels, and the verdicts that are right.

--verify and --check read the capture as `lastack analyze` does, and exit with 1 if anything is found otherwise.
"""


@click.command("close", help=_HELP, epilog=_EPILOG)
@click.argument("patterns", nargs=-1, metavar="[PATTERN...]")
@click.option("--all", "everything", is_flag=True, help="Play every pattern that this machine can.")
@click.option("--family", "families", multiple=True, help="Play a family: see --list.")
@click.option("-o", "--output", metavar="FILE", help="The pcapng to write.")
@click.option("--list", "listed", is_flag=True, help="Print the patterns, and play none.")
@click.option("--verify", is_flag=True, help="Read the capture back and compare it with its labels.")
@click.option("--check", "checked", metavar="FILE", help="Compare a capture of before with its labels.")
@click.option(
    "--jobs", type=click.IntRange(1, 64), default=6, show_default=True, help="Patterns played at a time."
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@click.option("-q", "--quiet", is_flag=True, help="No progress.")
def command(
    patterns: tuple[str, ...],
    everything: bool,
    families: tuple[str, ...],
    output: str | None,
    listed: bool,
    verify: bool,
    checked: str | None,
    jobs: int,
    form: str,
    quiet: bool,
) -> int:
    """Play patterns and write them, or list or compare them."""
    from lastack.lab.closes import PATTERNS
    from lastack.model.errors import UsageError

    if listed:
        _list(form)
        return 0
    if checked:
        return _compare(checked, form)
    wanted = _chosen(patterns, families, everything)
    if not wanted:
        raise UsageError("name patterns, or --all; `lastack lab close --list` prints them")
    if not output:
        raise UsageError("say where to write the capture: -o closes.pcapng")
    if verify and output == "-":
        raise UsageError("--verify reads the capture back, so it needs a file")
    code = _play([PATTERNS[name] for name in wanted], output, everything, jobs, quiet)
    return max(code, _compare(output, form)) if verify else code


def _chosen(patterns: tuple[str, ...], families: tuple[str, ...], everything: bool) -> list[str]:
    from difflib import get_close_matches

    from lastack.lab.closes import FAMILIES, PATTERNS
    from lastack.model.errors import UsageError

    chosen = list(PATTERNS) if everything else []
    for family in families:
        if family not in FAMILIES:
            raise UsageError(f"no family is called {family!r}; there are {', '.join(FAMILIES)}")
        chosen += [pattern.name for pattern in FAMILIES[family]]
    for name in patterns:
        if name not in PATTERNS:
            near = get_close_matches(name, PATTERNS, n=1)
            hint = f"did you mean {near[0]}?" if near else "`lastack lab close --list` prints them"
            raise UsageError(f"no pattern is called {name!r}: {hint}")
        chosen.append(name)
    return list(dict.fromkeys(chosen))


def _list(form: str) -> None:
    from lastack.lab.closes import FAMILIES, unmet
    from lastack.lab.closes.verdicts import RIGHT, WRAPPED
    from lastack.view.page import Page

    if form == "json":
        facts = [
            {
                "name": each.name,
                "family": family,
                "about": each.about,
                "topology": each.topology,
                "sessions": len(each.sessions),
                "causes": RIGHT.get(each.name, WRAPPED),
                "missing_here": unmet(each),
            }
            for family, members in FAMILIES.items()
            for each in members
        ]
        sys.stdout.write(json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
        return
    page = Page()
    for family, members in FAMILIES.items():
        page.heading(family, f"{len(members)} patterns")
        rows = [
            (each.name, each.about + (f" (not here: {unmet(each)})" if unmet(each) else ""))
            for each in members
        ]
        page.grid(rows, "lt")
    sys.stdout.write(page.text())


def _play(patterns: list[Pattern], output: str, skip: bool, jobs: int, quiet: bool) -> int:
    from lastack.lab.closes import play_all, unmet
    from lastack.lab.netns import become_root_of_namespaces
    from lastack.model.errors import LastackError

    become_root_of_namespaces()
    if skip:  # --all means what can be played here
        for each in patterns:
            if reason := unmet(each):
                click.echo(f"lastack: {each.name} is left out: {reason}", err=True)
        patterns = [each for each in patterns if not unmet(each)]
    done = 0

    def progress(played: Played) -> None:
        nonlocal done
        done += 1
        if not quiet and sys.stderr.isatty():
            click.echo(f"\r\x1b[K{done}/{len(patterns)} {played.pattern.name}", err=True, nl=False)

    results = play_all(patterns, jobs, progress=progress)
    if not quiet and sys.stderr.isatty():
        click.echo("\r\x1b[K", err=True, nl=False)
    failed = [each for each in results if each.failure]
    for bad in failed:
        click.echo(f"lastack: {bad.pattern.name} did not come out: {bad.failure}", err=True)
    if len(failed) == len(results):
        raise LastackError("no pattern came out; nothing is written")

    from lastack.app.lab import write_patterns

    packets = write_patterns(results, output)
    if not quiet:
        click.echo(f"lastack: {output}: {len(results) - len(failed)} patterns, {packets:,} packets", err=True)
    return 1 if failed else 0


def _compare(capture: str, form: str) -> int:
    from lastack.app.lab import check_labels, read_labels

    checked = check_labels(capture, read_labels(capture))
    if form == "json":
        facts = {
            "patterns": checked.patterns,
            "sessions": checked.sessions,
            "values": checked.values,
            "true_verdicts": checked.named,
            "unknown_verdicts": checked.unknown,
            "differences": [
                {"pattern": each.pattern, "session": each.session, "field": each.field,
                 "found": each.found, "expected": each.expected}
                for each in checked.differences
            ],
        }  # fmt: skip
        sys.stdout.write(json.dumps(facts, indent=1, ensure_ascii=False, default=str) + "\n")
    else:
        sys.stdout.write(_verdict(checked))
    return 1 if checked.differences else 0


def _verdict(checked: Checked) -> str:
    from lastack.view.page import Page

    page = Page()
    agree = "all as labelled" if not checked.differences else f"{len(checked.differences)} differ"
    page.line(
        f"{checked.patterns} patterns, {checked.sessions} sessions: {checked.values:,} values compared, {agree}"
    )
    other = checked.sessions - checked.named - checked.unknown
    page.line(f"verdicts: {checked.named} true, {checked.unknown} unknown, {other} another")
    if checked.differences:
        rows = [
            (each.pattern, str(each.session or "-"), each.field, f"{each.found}, not {each.expected}")
            for each in checked.differences
        ]
        page.grid(rows, "lrlt", ("pattern", "session", "field", "found"))
    return page.text()
