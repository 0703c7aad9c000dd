"""The figures as tables: on a terminal and as Markdown, from the same rows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Rows = list[list[str]]

_QUICK = "**A quick run**: captures of 1/20 of the full size, where fixed costs weigh most; a full run has other rates."


def sections(results: dict[str, Any]) -> Iterable[tuple[str, list[str], Rows]]:
    """Give (title, heads, rows) of each table that has anything in it."""
    captures = results["captures"]
    if captures:
        yield "Speed", ["capture", "threads", "Mpackets/s", "ns/packet", "x cat", "best s", "median s", "cat s"], [
            [
                f"{name}: {entry['about']}", str(line["threads"]), f"{line['packets_per_s'] / 1e6:.2f}",
                f"{line['ns_per_packet']:.1f}", f"{line['ratio_to_cat']:.2f}", f"{line['best']:.3f}",
                f"{line['median']:.3f}", f"{entry['cat']['best']:.3f}",
            ]
            for name, entry in captures.items()
            for line in entry["lastack"]
        ]  # fmt: skip
        yield "The captures", ["capture", "packets", "sessions", "MB", "bytes/record", "peak MB of the process"], [
            [
                name, f"{entry['packets']:,}", f"{entry['rows']:,}", f"{entry['bytes'] / 1e6:,.0f}",
                f"{entry['bytes'] / max(1, entry['packets']):.0f}", f"{entry['peak_rss'] / 1e6:,.0f}",
            ]
            for name, entry in captures.items()
        ]  # fmt: skip
    if results["containers"]:
        yield "Containers (capture s)", ["container", "MB", "s", "x pcap", "x its tool alone"], [
            [
                entry["container"], f"{entry['bytes'] / 1e6:,.0f}", f"{entry['seconds']:.3f}",
                f"{entry['ratio_to_pcap']:.2f}", f"{entry['ratio_to_tool']:.2f} ({entry['tool']})",
            ]
            for entry in results["containers"]
        ]  # fmt: skip
    peers = [(name, peer) for name, entry in captures.items() for peer in entry.get("peers", ())]
    measured = [(name, peer) for name, peer in peers if "skipped" not in peer]
    if measured:
        heads = ["capture", "peer", "tells", "packets", "s", "10 packets s", "kpackets/s"]
        yield "Peers", [*heads, "LastACK faster: processes", "work only", "by rate"], [
            [
                name, peer["peer"], peer["gives"], f"{peer['packets']:,}", f"{peer['seconds']:.2f}",
                f"{peer['start']:.2f}", f"{peer['packets_per_s'] / 1e3:,.0f}", _times(peer["times_slower"]),
                _times(peer["times_slower_without_start"]), _times(peer["times_slower_by_rate"]),
            ]
            for name, peer in measured
        ]  # fmt: skip
    if results["memory"]:
        heads = [
            "live sessions",
            "number",
            "bytes each",
            "own MB with them",
            "peak RSS MB with capture",
            "s",
        ]
        yield "Memory", heads, [
            [
                entry["sessions"].removeprefix("live-"), f"{entry['live']:,}", f"{entry['bytes_per_session']:.0f}",
                f"{entry['anonymous'] / 1e6:,.0f}", f"{entry['peak_rss'] / 1e6:,.0f}", f"{entry['seconds']:.2f}",
            ]
            for entry in results["memory"]
        ]  # fmt: skip
    if results.get("limited"):
        heads = ["sessions that", "number", "packets", "--max-sessions", "peak RSS MB", "s"]
        yield "Memory under a limit: `lastack analyze -o`", heads, [
            [
                entry["sessions"], f"{entry['number']:,}", f"{entry['packets']:,}", f"{entry['limit']:,}",
                f"{entry['peak_rss'] / 1e6:,.0f}", f"{entry['seconds']:.1f}",
            ]
            for entry in results["limited"]
        ]  # fmt: skip
    if asked := results.get("queries"):
        heads = ["question", "best s", "CPU s", "SQL by hand s", "CPU s", "ratio", "whole command s"]
        yield f"Questions to {asked['rows'] / 1e6:g} million sessions, {asked['threads']} threads", heads, [
            [
                entry["what"], f"{entry['best']:.2f}", f"{entry['cpu']:.2f}", f"{entry['sql_best']:.2f}",
                f"{entry['sql_cpu']:.2f}", f"{entry['ratio']:.2f}",
                f"{entry['command']:.2f}" if "command" in entry else "-",
            ]
            for entry in asked["questions"]
        ]  # fmt: skip
    started = [entry for entry in results["start_up"] if "skipped" not in entry]
    if started:
        yield (
            "Start-up (whole process)",
            ["what", "best s", "median s"],
            [[entry["what"], f"{entry['best']:.3f}", f"{entry['median']:.3f}"] for entry in started],
        )


def left_out(results: dict[str, Any]) -> list[str]:
    """Return what was not measured, and why, each once."""
    reasons = dict.fromkeys(results["left_out"])
    for entry in results["captures"].values():
        for peer in entry.get("peers", ()):
            if "skipped" in peer:
                reasons[f"{peer['peer']}: {peer['skipped']}"] = None
    for entry in [*results["start_up"], *results.get("queries", {}).get("questions", ())]:
        if "skipped" in entry:
            reasons[f"{entry['what']}: {entry['skipped']}"] = None
    return list(reasons)


def as_text(title: str, heads: list[str], rows: Rows) -> str:
    """Return a table for a terminal: numbers to the right."""
    widths = [max(len(row[column]) for row in [heads, *rows]) for column in range(len(heads))]
    lines = [title, "-" * len(title)]
    for row in [heads, *rows]:
        cells = [
            cell.ljust(width) if rows and not _number(rows[0][column]) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines) + "\n"


def as_markdown(results: dict[str, Any]) -> str:
    """Return the page for the docs."""
    machine = ", ".join(f"{key} {value}" for key, value in results["machine"].items())
    parts = [
        "# Benchmarks",
        f"All figures are from **one run on one machine** with `{results['command']}`; another machine gives others,"
        " and a busy one gives worse. Ratios travel better than rates: `x cat` is the time divided by that of"
        " `cat CAPTURE > /dev/null` from the page cache, measured in turn with it.",
        *([_QUICK] if results.get("quick") else []),
        f"Machine: {machine}.",
        "LastACK makes every field of the session record, for all sessions, and drops the rows at the end; its time"
        " is without the start of the process (see the last table). Each peer tells something else of a session; it is"
        " compared three ways: as whole processes (LastACK's is `lastack analyze`); work only, both without what they"
        " take for ten packets, which is start-up and, with Argus, a wait of a second at the end (`-` where what is"
        " left is too short to tell); and by rate, its packets a second as a user sees them against the engine's."
        " `best` is the fastest round, `median` the one in the middle;"
        " rates and ratios are of the best; there are as many rounds as asked for, and in a full run more until they"
        " have taken twenty seconds (three beside a peer). Captures as they were written lie in the page cache in large"
        " pieces, which are mapped at once; read back from a disk (b') they lie in smaller ones."
        " Bytes of a live session are the growth of the process's own memory over"
        " that with a thousand sessions, divided by their number.",
        *(
            [
                f"Questions are asked of a dataset of {asked['rows']:,} generated sessions"
                f" ({asked['bytes'] / 1e9:.1f} GB, made in {asked['made_s']:.0f} s), in turn with SQL that somebody"
                " would write by hand for the same files in the same DuckDB. LastACK's answers have the others and"
                " the total besides, for which percentiles need a second pass. The whole command has the start of"
                " Python in it."
            ]
            if (asked := results.get("queries"))
            else []
        ),
    ]
    for title, heads, rows in sections(results):
        align = ["---" if rows and not _number(cell) else "--:" for cell in rows[0]]
        table = [f"| {' | '.join(row)} |" for row in [heads, align, *rows]]
        parts += [f"## {title}", "\n".join(table)]
    parts += [f"Capture {kind}: {mix}." for kind, mix in results.get("mixes", {}).items()]
    if reasons := left_out(results):
        parts += ["## Not measured in this run", "\n".join(f"- {reason}" for reason in reasons)]
    return "\n\n".join(parts) + "\n"


def _times(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.1f}x"


def _number(cell: str) -> bool:
    return bool(cell) and cell[0].isdigit() and ":" not in cell
