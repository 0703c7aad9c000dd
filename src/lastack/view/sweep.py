"""A sweep for people: what breaks against what the table holds, as a table and as two curves over one timer."""

from __future__ import annotations

import io
import math
import os
import shutil
import sys

from lastack.firewall.text import duration_text
from lastack.model.errors import UsageError
from lastack.model.units import format_duration
from lastack.replay.holding import SAMPLES
from lastack.replay.scenario import Answer, Whatif
from lastack.view.cells import plural, share
from lastack.view.page import Page
from lastack.view.plot import nice_levels
from lastack.view.whatif import entries_text, range_text, size_range

_HEIGHT = 18


def render_sweep(answer: Answer, whole: Whatif, *, plot: bool = True) -> str:
    """Return a sweep as a table, with its plot above on a terminal or when asked."""
    page = Page()
    out, one = answer.outcome, answer.scenario
    total = int(out.sessions.sum())
    page.heading(
        f"{one.profile.title}: {one.swept} from {duration_text(one.settings[0])} to {duration_text(one.settings[-1])}",
        f"{plural(total, 'session')} in {format_duration(round(whole.window.seconds * 1e9))}",
    )
    p99, peak, little, mean = out.p99_entries, out.peak_entries, out.little_entries, out.mean_entries
    rows = []
    for j, ns in enumerate(one.settings):
        least, most = int(out.broken_least[:, j].sum()), int(out.broken_most[:, j].sum())
        rows.append(
            [
                duration_text(ns),
                range_text(least, most),
                share(most, total),
                size_range(int(out.lost_least[:, j].sum()), int(out.lost_most[:, j].sum())),
                *(entries_text(float(curve[j])) for curve in (mean, p99, peak, little)),
            ]
        )
    heads = [one.swept, "broken", "", "payload lost", "mean", "p99", "peak entries", "settles at"]
    page.grid(rows, "rrrrrrrr", heads)
    if not out.counted:
        page.say(
            f"p99 and peak are counted at {SAMPLES:,} moments; one setting alone is counted entry by entry",
            "  ",
        )
    for reason in answer.why:
        page.say(f"not exact: {reason}", "  ", "    ", "dim")
    chart = draw(answer) + "\n" if plot else ""
    return chart + page.text()


def draw(answer: Answer, width: int | None = None, colour: bool | None = None) -> str:
    """Return both curves for a terminal: sessions broken (left axis) and mean entries (right axis) over the timer."""
    import plotext

    colour = (sys.stdout.isatty() and not os.environ.get("NO_COLOR")) if colour is None else colour
    width = width or min(100, shutil.get_terminal_size((100, 24)).columns)
    out, settings = answer.outcome, answer.scenario.settings
    xs = [math.log10(ns / 1e9) for ns in settings]
    broken = out.broken_most.sum(axis=0).astype(float).tolist()
    entries = out.mean_entries.tolist()
    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plotsize(width, _HEIGHT)
    lines = (("sessions broken", broken, "left", "●", "red"), ("mean entries", entries, "right", "○", "blue"))
    for label, values, side, mark, tint in lines:
        style = {"color": tint} if colour else {}
        plotext.plot(xs, values, label=label, yside=side, marker=mark, **style)
        levels = nice_levels(max(values))
        plotext.ylim(0, levels[-1], yside=side)
        plotext.yticks(levels, [f"{level:,.6g}" for level in levels], yside=side)
    chosen = _ticks(settings)
    plotext.xticks([math.log10(ns / 1e9) for ns in chosen], [duration_text(ns) for ns in chosen])
    text: str = plotext.build()
    plotext.clear_figure()
    if not colour:
        text = plotext.uncolorize(text)
    return "\n".join(line.rstrip() for line in text.rstrip("\n").split("\n")) + "\n"


def _ticks(settings: tuple[int, ...]) -> list[int]:
    if len(settings) <= 6:
        return list(settings)
    return [settings[round(i * (len(settings) - 1) / 5)] for i in range(6)]


def image(answer: Answer, form: str) -> bytes:
    """Return both curves as an image.

    Args:
        answer: A sweep.
        form: `png` or `svg`.

    Raises:
        UsageError: matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise UsageError(
            "PNG and SVG are drawn by matplotlib, which is not installed: pip install 'lastack[plot]'; "
            "-o sweep.csv keeps the numbers"
        ) from None
    matplotlib.rcParams["svg.hashsalt"] = "lastack"
    figure = Figure(figsize=(9, 4.8), dpi=130, layout="constrained")
    axes = figure.subplots()
    out, one = answer.outcome, answer.scenario
    xs = [ns / 1e9 for ns in one.settings]
    least, most = out.broken_least.sum(axis=0).tolist(), out.broken_most.sum(axis=0).tolist()
    axes.plot(xs, most, color="#D55E00", marker="o", markersize=3, label="sessions broken")
    if least != most:
        axes.fill_between(xs, least, most, color="#D55E00", alpha=0.2, linewidth=0)
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel(f"{one.swept} ({one.profile.name})")
    axes.set_ylabel("sessions broken", color="#D55E00")
    right = axes.twinx()
    right.plot(xs, out.mean_entries.tolist(), color="#0072B2", label="mean entries")
    right.plot(xs, out.peak_entries.tolist(), color="#0072B2", linestyle=":", label="peak entries")
    right.set_ylim(bottom=0)
    right.set_ylabel("table entries (mean; dotted: peak)", color="#0072B2")
    chosen = _ticks(one.settings)
    axes.set_xticks([ns / 1e9 for ns in chosen], [duration_text(ns) for ns in chosen])
    axes.minorticks_off()
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.6)
    target = io.BytesIO()
    figure.savefig(target, format=form, metadata={"Date": None} if form == "svg" else {"Software": "LastACK"})
    return target.getvalue()
