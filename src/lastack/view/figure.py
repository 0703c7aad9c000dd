"""Charts as PNG and SVG files by matplotlib, which is an extra and is loaded only here."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any

from lastack.model.errors import UsageError
from lastack.query.series import Distribution, TimeChart
from lastack.view.plot import nice_levels, range_text, tick_text, ticks, title
from lastack.view.quantities import measure_cell

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Colours that people with any colour vision tell apart (Okabe and Ito, 2008), black last.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#F0E442", "#000000")
_OTHERS = "#9AA0A6"


def render(chart: TimeChart | Distribution, form: str) -> bytes:
    """Return the image of a chart.

    Args:
        chart: What to draw.
        form: `png` or `svg`.

    Raises:
        UsageError: matplotlib is not installed.
    """
    figure = _figure()
    axes = figure.subplots()
    if isinstance(chart, TimeChart):
        _draw_time(axes, chart)
    else:
        _draw_distribution(axes, chart)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    out = io.BytesIO()
    # No date in the file: the same numbers give the same bytes.
    figure.savefig(out, format=form, metadata={"Date": None} if form == "svg" else {"Software": "LastACK"})
    return out.getvalue()


def _figure() -> Figure:
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise UsageError(
            "PNG and SVG are drawn by matplotlib, which is not installed: pip install 'lastack[plot]'; "
            "without -o the chart is drawn in the terminal, and -o chart.csv keeps its numbers"
        ) from None
    matplotlib.rcParams["svg.hashsalt"] = "lastack"
    return Figure(figsize=(10, 4.8), dpi=130, layout="constrained")


def _draw_time(axes: Any, chart: TimeChart) -> None:
    places = list(range(len(chart.starts)))
    colours = [
        _OTHERS if s.name == "others" else COLOURS[i % len(COLOURS)] for i, s in enumerate(chart.series)
    ]
    values = [
        [v if v is not None and math.isfinite(v) else math.nan for v in series.values]
        for series in chart.series
    ]
    names = [series.name for series in chart.series]
    if chart.total and len(chart.series) > 1:
        axes.stackplot(places, *values, labels=names, colors=colours, linewidth=0, step="mid")
        top = max((sum(column) for column in zip(*values, strict=True)), default=0)
    else:
        for line, name, colour in zip(values, names, colours, strict=True):
            axes.plot(places, line, label=name, color=colour, linewidth=1.6, marker="o", markersize=2.5)
        top = max((v for line in values for v in line if not math.isnan(v)), default=0)
    if places:
        axes.set_title(title(chart), loc="left", fontsize=11)
        chosen = ticks(len(places))
        axes.set_xticks(chosen, [tick_text(chart, place) for place in chosen])
        levels = nice_levels(top)
        texts = [measure_cell(chart.series[0].measure, int(v) if v.is_integer() else v) for v in levels]
        axes.set_yticks(levels, texts)
    axes.set_ylim(bottom=0)
    axes.margins(x=0.01)
    if len(names) > 1:
        axes.legend(frameon=False, fontsize=9, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _draw_distribution(axes: Any, found: Distribution) -> None:
    sums = [0] * len(next(iter(found.counts.values()), ()))
    for place, (name, counts) in enumerate(found.counts.items()):
        colour = _OTHERS if name == "others" else COLOURS[place % len(COLOURS)]
        axes.bar(range(len(counts)), counts, bottom=sums, label=name, color=colour, width=0.92)
        sums = [below + count for below, count in zip(sums, counts, strict=True)]
    texts = [range_text(found, place) for place in range(len(sums))]
    axes.set_xticks(range(len(texts)), texts, rotation=60, ha="right", fontsize=8)
    axes.set_title(f"sessions by {found.name}", loc="left", fontsize=11)
    if len(found.counts) > 1:
        axes.legend(frameon=False, fontsize=9)
