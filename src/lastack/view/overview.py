"""The overview as a page for a person with a problem: what stands out first, then the numbers, each explained."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lastack.diagnosis.rules import BY_CAUSE
from lastack.model.enums import Cause
from lastack.model.units import format_duration, format_size
from lastack.query.overview import FAILURES, HARMS, SIDES, Overview
from lastack.query.quantiles import Percentiles
from lastack.query.top import Top
from lastack.store.manifest import Run
from lastack.store.place import shown
from lastack.view.cells import UNKNOWN, count, endpoint, instant, plural, share, value, words
from lastack.view.findings import findings_of
from lastack.view.page import Page

#: What each way of opening means.
OPENINGS = {
    "established": "handshake completed",
    "refused": "answered by a RST: no listener, or a firewall",
    "refused_icmp": "answered by ICMP: unreachable, prohibited",
    "unanswered": "SYN without any answer",
    "half_open": "SYN-ACK, but the client never completed",
    "aborted": "reset before it was established",
    "pending": "SYN in the last second: too early to tell",
}
#: What each ending means.
ENDINGS = {
    "closed": "a FIN from each end: the normal end",
    "closed_rst": "a FIN from each end, then a RST",
    "fin_rst": "one FIN, then a RST",
    "rst": "a RST and no FIN before it",
    "half_closed": "one FIN: the other end is open",
    "vanished": "one end no longer answers",
    "open": "no FIN, no RST yet",
}
_RESETS = {
    "refused": "refusing a SYN",
    "opening": "while opening (scans, monitors)",
    "after_close": "after both FINs: harmless",
    "after_fin": "after one FIN",
    "mid_session": "in mid-session",
    "ignored": "did not fit: ended nothing",
}


def render_overview(
    overview: Overview,
    run: Run,
    source: Sequence[str] = (),
    width: int | None = None,
    colour: bool | None = None,
) -> str:
    """Return the page.

    Args:
        overview: The numbers.
        run: What was read.
        source: Inputs as the user named them, for the commands that the page proposes.
        width: Characters of a line.
        colour: Show colours.
    """
    page = Page(width, colour)
    _top(page, overview, run)
    _findings(page, overview, source)
    _openings(page, overview)
    _endings(page, overview)
    _causes(page, overview)
    _resets(page, overview)
    _waiting(page, overview)
    _times(page, overview)
    _ends(page, overview)
    return page.text()


def _top(page: Page, overview: Overview, run: Run) -> None:
    ledger = overview.ledger
    names = ", ".join(run.captures[:3]) + (
        f" and {len(run.captures) - 3} more" if len(run.captures) > 3 else ""
    )
    page.heading(f"{plural(ledger.sessions, 'TCP session')} in {names or 'no capture'}")
    if run.first_ns is not None and run.last_ns is not None:
        end = instant(run.last_ns, digits=3)
        lasted = format_duration(run.last_ns - run.first_ns)
        page.say(f"{instant(run.first_ns, digits=3)} to {end} UTC ({lasted})")
    parts = [f"{count(run.segments)} in sessions"]
    if run.stray:
        parts.append(f"{count(run.stray)} stray")
    parts += [f"{count(n)} {words(name)}" for name, n in sorted(run.drops.items(), key=lambda kv: -kv[1])]
    if run.duplicates:
        parts.append(f"{count(run.duplicates)} seen by two sensors, left out")
    page.say(f"{plural(run.packets, 'packet')} = {' + '.join(parts)}", hang="    ")
    if run.residual:
        page.say(f"{count(run.residual)} packets are in none of these: please report this", style="bad")
    carried = {name: n for name, n in run.encaps.items() if name != "none"}
    if carried:
        page.say(
            "carried in " + ", ".join(f"{name} ({count(n)})" for name, n in carried.items()), hang="    "
        )


def _findings(page: Page, overview: Overview, source: Sequence[str]) -> None:
    page.heading("What stands out")
    found = findings_of(overview)
    if not found:
        page.say(_calm(overview), style="good")
        return
    for finding in found:
        page.say(finding.text, indent="  • ", hang="    ")
        if finding.where:
            page.say(f"-f '{finding.where}'", "      ", style="dim")
    names = " ".join(map(shown, source)) or "CAPTURE"
    page.say(f"Follow one up:  lastack sessions {names} -f FILTER", style="dim")


def _calm(overview: Overview) -> str:
    ledger = overview.ledger
    if ledger.sessions == 0:
        return "There is no TCP session in it."
    resets = sum(n for sides in overview.resets.values() for side in sides.values() for n in side.values())
    end = f" {plural(resets, 'session has', 'sessions have')} a RST, and it did no harm." if resets else ""
    return f"Nothing: {count(ledger.established)} of {plural(ledger.attempts, 'attempt')} connected.{end}"


def _openings(page: Page, overview: Overview) -> None:
    ledger = overview.ledger
    page.heading("How they opened", plural(ledger.attempts, "attempt"))
    numbers = {"established": ledger.established, **{name: ledger.failures.get(name, 0) for name in FAILURES}}
    rows = [
        [words(name), count(n), share(n, ledger.attempts), OPENINGS[name]]
        for name, n in numbers.items()
        if n or name == "established"
    ]
    if ledger.residual:
        rows.append(["residual", count(ledger.residual), "", "in none of these: please report this"])
    page.grid(rows, "lrrt")
    beside = []
    if ledger.midstream:
        beside.append(f"{plural(sum(ledger.midstream.values()), 'session')} already running when first seen")
    if ledger.synack_only:
        beside.append(f"{plural(ledger.synack_only, 'SYN-ACK')} without a SYN")
    if ledger.strays:
        beside.append(f"{plural(ledger.strays, 'stray')} (lone packets of no session)")
    if beside:
        page.say(f"Beside these: {', '.join(beside)}.", hang="    ")


def _endings(page: Page, overview: Overview) -> None:
    ledger = overview.ledger
    middle = sum(ledger.midstream.values())
    aside = f"{count(ledger.established)} established" + (
        f" + {count(middle)} already running" if middle else ""
    )
    page.heading("How they ended", aside)
    rows = []
    for name, meaning in ENDINGS.items():
        total = ledger.endings.get(name, 0) + ledger.midstream.get(name, 0)
        closers = overview.closers.get(name, {})
        if total:
            sides = [
                count(closers[side]) if closers.get(side) else UNKNOWN
                for side in ("client", "server", "both")
            ]
            rows.append(
                [words(name), count(total), share(total, ledger.established + middle), *sides, meaning]
            )
    if ledger.ending_residual:
        rows.append(
            ["residual", count(ledger.ending_residual), *[""] * 4, "in none of these: please report this"]
        )
    if rows:
        page.grid(rows, "lrrrrrt", ["", "sessions", "", "client", "server", "both", "(first FIN or RST by)"])


def _causes(page: Page, overview: Overview) -> None:
    """Show the verdicts, most frequent first: every session has one, those that never opened too."""
    total = sum(overview.causes.values())
    rows = []
    for name, n in sorted(overview.causes.items(), key=lambda item: -item[1]):
        harmed = overview.harmed.get(name, 0)
        title = BY_CAUSE[Cause[name]].title
        rows.append([title, count(n), share(n, total), count(harmed) if harmed else UNKNOWN, name])
    if rows:
        page.heading("Why they ended", plural(total, "session"))
        page.grid(rows, "lrrrt", ["", "sessions", "", "harmed", "cause"])


def _resets(page: Page, overview: Overview) -> None:
    rows = []
    for kind, meaning in _RESETS.items():
        table = overview.resets.get(kind, {})
        sides = [sum(table.get(side, {}).values()) for side in SIDES]
        if not sum(sides):
            continue
        costs = [sum(table[side][harm] for side in SIDES) for harm in HARMS]
        if kind == "refused":  # what a refusal costs is in the ledger above
            shown = [UNKNOWN] * 3
        else:
            shown = [count(n) if n else UNKNOWN for n in costs]
        rows.append([meaning, *[count(n) if n else UNKNOWN for n in sides], *shown])
    if not rows:
        return
    packets = overview.rst_packets
    page.heading(
        "Who resets", f"{count(packets['client'])} RSTs of clients, {count(packets['server'])} of servers"
    )
    page.grid(
        rows,
        "lrrrrr",
        ["sessions with a RST, the first", "client", "server", "harmless", "harmful", "unclear"],
    )


def _waiting(page: Page, overview: Overview) -> None:
    groups = (
        ("half-closed", overview.half_closed, "one end has closed"),
        ("half-open", overview.half_open, "the last ACK never came"),
    )
    if not any(waiting.ages.count for _, waiting, _ in groups):
        return
    page.heading("Still waiting when the capture ends")
    rows = [
        [name, count(w.ages.count), _time(w.ages.p50), _time(w.ages.p90), _time(w.ages.maximum), meaning]
        for name, w, meaning in groups
        if w.ages.count
    ]
    page.grid(rows, "lrrrrt", ["", "sessions", "median age", "90 %", "oldest", ""])
    for name, waiting, _ in groups:
        for row in waiting.oldest[:2]:
            client, server = _ends_of(row)
            page.say(
                f"{name} for {_time(row['age_ns'])}: {client} → {server} (session {row['session_id']})",
                "    ",
            )


def _ends_of(row: dict[str, object]) -> tuple[str, str]:
    def join(address: object, port: object) -> str:
        return f"[{address}]:{port}" if ":" in str(address) else f"{address}:{port}"

    return join(row["client_ip"], row["client_port"]), join(row["server_ip"], row["server_port"])


def _times(page: Page, overview: Overview) -> None:
    names = {
        "ct_ns": ("handshake", "users wait"),
        "syn_to_synack_ns": ("SYN to SYN-ACK", "to the server"),
        "synack_to_ack_ns": ("SYN-ACK to ACK", "to the client"),
    }
    groups = [
        (text, overview.handshakes.get(name, Percentiles()), why) for name, (text, why) in names.items()
    ]
    groups.append(("half-closed", overview.half_close_ns, "first FIN on"))
    rows = [
        [text, count(p.count), _time(p.p50), _time(p.p90), _time(p.p99), _time(p.maximum), why]
        for text, p, why in groups
        if p.count
    ]
    if rows:
        page.heading("Times")
        page.grid(rows, "lrrrrrt", ["", "sessions", "median", "90 %", "99 %", "longest", ""])


def _time(ns: int | None) -> str:
    return UNKNOWN if ns is None else format_duration(ns)


def _ends(page: Page, overview: Overview) -> None:
    for title, top, by_port in (("Servers", overview.servers, True), ("Clients", overview.clients, False)):
        if not top.rows:
            continue
        page.heading(f"{title} with most sessions", f"{count(top.keys)} in all")
        # Sessions and attempts differ only where some were already running; there is no room for all.
        needless = "sessions" if top.total["sessions"] == top.total["attempts"] else "bytes"
        measures = [measure for measure in _MEASURES if measure[0] != needless]
        rows = [
            [endpoint(*row.key) if by_port else value("client_ip", row.key[0]), *_cells(row.sums, measures)]
            for row in top.rows
        ]
        if top.keys > len(top.rows):
            rows.append(["others", *_cells(top.others, measures)])
        if len(rows) > 1:
            rows.append(["total", *_cells(top.total, measures)])
        page.grid(rows, "l" + "r" * len(measures), ["", *(name for name, _ in measures)])
        _folded(page, top)


def _number(name: str) -> Callable[[dict[str, int]], str]:
    return lambda sums: count(sums[name]) if sums[name] else UNKNOWN


def _per_connection(sums: dict[str, int]) -> str:
    # Refusals are RSTs as well, but they have a column of their own.
    resets = max(0, sums["rst_clt"] + sums["rst_srv"] - sums["refused"])
    return f"{resets / sums['established']:.2f}" if sums["established"] and resets else UNKNOWN


_MEASURES: tuple[tuple[str, Callable[[dict[str, int]], str]], ...] = (
    ("sessions", _number("sessions")),
    ("attempts", _number("attempts")),
    ("opened", _number("established")),
    ("refused", _number("refused")),
    ("silent", _number("unanswered")),
    ("RST/conn", _per_connection),
    ("bytes", lambda sums: format_size(sums["bytes"]) if sums["bytes"] else UNKNOWN),
)


def _cells(sums: dict[str, int], measures: list[tuple[str, Callable[[dict[str, int]], str]]]) -> list[str]:
    return [cell(sums) for _, cell in measures]


def _folded(page: Page, top: Top) -> None:
    if top.folded:
        page.say(
            f"{count(top.folded)} rare ones were folded into the others to save memory; totals are exact.",
            style="dim",
        )
