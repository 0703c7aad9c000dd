"""Charts for a terminal: lines over time by plotext, distributions as bars of text."""

from __future__ import annotations

import math
import os
import shutil
import sys
from collections.abc import Sequence

from lastack.model.units import format_duration
from lastack.query.metrics import Kind
from lastack.query.series import Distribution, Series, TimeChart
from lastack.view.cells import UNKNOWN, share
from lastack.view.grouped import bar
from lastack.view.page import Page
from lastack.view.quantities import bucket_text, measure_cell, width_text
from lastack.view.table import table_width

_HEIGHT = 20
_PLAIN_MARKERS = ("●", "○", "▲", "△", "■", "□", "+", "x", "*", "·")
_TICKS = 5


def render_time(chart: TimeChart, width: int | None = None, colour: bool | None = None) -> str:
    """Return lines over time, with a legend if there are several.

    Args:
        chart: The lines.
        width: Characters; by default the terminal's, 100 in a pipe.
        colour: Tell lines apart by colour; by default only on a terminal. Without it their marks differ.
    """
    colour = (sys.stdout.isatty() and not os.environ.get("NO_COLOR")) if colour is None else colour
    width = width or (shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 100)
    if not chart.starts:
        return "no session\n"
    import plotext

    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plotsize(width, _HEIGHT)
    many = len(chart.series) > 1
    for place, series in enumerate(chart.series):
        xs, ys = known(series)
        marker = _PLAIN_MARKERS[place % len(_PLAIN_MARKERS)] if many and not colour else "braille"
        style = {"color": place % 6 + 9} if colour else {}
        if len(xs) == 1:
            plotext.scatter(xs, ys, label=series.name if many else None, marker="●", **style)
        elif xs:
            plotext.plot(xs, ys, label=series.name if many else None, marker=marker, **style)
    places = ticks(len(chart.starts))
    plotext.xticks(places, [tick_text(chart, place) for place in places])
    top = max((y for series in chart.series for y in known(series)[1]), default=0)
    levels = nice_levels(top)
    plotext.yticks(levels, [measure_cell(chart.series[0].measure, _plain(level)) for level in levels])
    plotext.ylim(0, max(levels[-1], top))
    text: str = plotext.build()
    plotext.clear_figure()
    if not colour:
        text = plotext.uncolorize(text)
    head = title(chart)
    lines = [line.rstrip() for line in text.rstrip("\n").split("\n")]
    return f"{head}\n" + "\n".join(lines) + "\n"


def title(chart: TimeChart) -> str:
    """Return what a chart shows, in one line."""
    names = ", ".join(dict.fromkeys(series.measure.name for series in chart.series))
    return (
        f"{names} every {width_text(chart.width_ns)}, from {bucket_text(chart.starts[0], chart.width_ns)} UTC"
    )


def known(series: Series) -> tuple[list[int], list[float]]:
    """Return the buckets that have a finite value, and these values."""
    pairs = [(i, v) for i, v in enumerate(series.values) if v is not None and math.isfinite(v)]
    return [i for i, _ in pairs], [float(v) for _, v in pairs]


def ticks(count: int) -> list[int]:
    """Return a few buckets, evenly spread, whose times are written below a chart."""
    if count <= _TICKS:
        return list(range(count))
    return [round(i * (count - 1) / (_TICKS - 1)) for i in range(_TICKS)]


def tick_text(chart: TimeChart, place: int) -> str:
    """Return the time of a bucket as short as the span allows: the date only where days pass."""
    text = bucket_text(chart.starts[place], chart.width_ns)
    span = chart.starts[-1] - chart.starts[0]
    if span < 86_400 * 10**9:
        return text[11:16] if chart.width_ns % (60 * 10**9) == 0 else text[11:]
    return text[5:16] if chart.width_ns < 86_400 * 10**9 else text[:10]


def nice_levels(top: float) -> list[float]:
    """Return four to seven levels from 0 up to at least `top`, at steps of 1, 2 or 5."""
    if top <= 0 or not math.isfinite(top):
        return [0.0, 1.0]
    raw = top / 5
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(n * size for n in (1, 2, 5, 10) if n * size >= raw * 0.999)
    return [step * i for i in range(math.ceil(top / step - 1e-9) + 1)]


def _plain(level: float) -> float:
    return int(level) if float(level).is_integer() else level


def render_distribution(found: Distribution, colour: bool | None = None) -> str:
    """Return a distribution as bars, one line for each bucket of size."""
    page = Page(table_width(sys.stdout), colour)
    if not found.edges and not any(any(counts) for counts in found.counts.values()):
        return f"{found.name}: no session has it\n"
    rows: list[Sequence[str]] = []
    names = list(found.counts)
    sums = [sum(column) for column in zip(*found.counts.values(), strict=True)]
    most, total, below = max(sums), sum(sums), 0
    for place, count in enumerate(sums):
        below += count
        parts = [f"{found.counts[name][place]:,}" if found.counts[name][place] else UNKNOWN for name in names]
        rows.append([range_text(found, place), *parts, share(below, total), bar(count / most, 30)])
    page.table(rows, "l" + "r" * len(names) + "rl", [[found.name, *names, "up to", ""]])
    return page.text()


def range_text(found: Distribution, place: int) -> str:
    """Return what a bucket holds, such as `1 ms … 2 ms`."""
    if place == len(found.edges):
        return f"> {size_text(found, found.edges[-1])}"
    high = found.edges[place]
    if high == 0:
        return size_text(found, 0)
    return f"≤ {size_text(found, high)}"


def size_text(found: Distribution, amount: int) -> str:
    """Return an edge for people."""
    if found.kind is Kind.duration:
        return edge_duration(amount)
    if found.kind is Kind.size:
        from lastack.model.units import format_size

        return format_size(amount)
    return f"{amount:,}"


def edge_duration(ns: int) -> str:
    """Return a duration whose seconds are round as seconds: `2000 s` is an edge, `33 min 20 s` is not."""
    return f"{ns // 10**9:,} s" if ns >= 60 * 10**9 else format_duration(ns)
