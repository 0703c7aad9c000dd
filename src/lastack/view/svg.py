"""Charts as SVG to stand in a page: plain shapes, classes for colour, a tooltip for each shape, no script."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

from lastack.query.series import Distribution, TimeChart
from lastack.view.plot import nice_levels, range_text, size_text, tick_text, ticks
from lastack.view.quantities import bucket_text

WIDTH = 960
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 8, 10, 26


def time_bars(chart: TimeChart, classes: Sequence[str], label: str, height: int = 240) -> str:
    """Return stacked bars over time, one for each bucket.

    Args:
        chart: The lines, whose values are counts.
        classes: A CSS class for each line.
        label: What the chart shows, for those who cannot see it.
        height: Height in the units of the drawing, which is `WIDTH` wide.
    """
    sums = [
        sum(value or 0 for value in column) for column in zip(*(s.values for s in chart.series), strict=True)
    ]
    plot = _Plot(height, max(sums, default=0))
    count = len(chart.starts)
    step = (WIDTH - _LEFT - _RIGHT) / max(1, count)
    gap = min(1.5, step * 0.12)
    shapes = plot.grid()
    below = [0.0] * count
    for series, css in zip(chart.series, classes, strict=True):
        for place, value in enumerate(series.values):
            if not value:
                continue
            y = plot.y(below[place] + value)
            text = f"{bucket_text(chart.starts[place], chart.width_ns)}  {series.name}: {value:,}"
            shapes.append(
                _bar(_LEFT + place * step + gap / 2, y, step - gap, plot.y(below[place]) - y, css, text)
            )
            below[place] += value
    for place in ticks(count):
        shapes.append(plot.text_below(_LEFT + (place + 0.5) * step, tick_text(chart, place)))
    return plot.drawing(shapes, label)


def distribution_bars(
    found: Distribution, label: str, marks: dict[str, int] | None = None, height: int = 200
) -> str:
    """Return bars of a distribution, with lines at values that matter.

    Args:
        found: The distribution, of one group.
        label: What the chart shows, for those who cannot see it.
        marks: Text -> value of a line across.
        height: Height in the units of the drawing.
    """
    counts = next(iter(found.counts.values()), ())
    total = max(1, sum(counts))
    plot = _Plot(height, max(counts, default=0))
    step = (WIDTH - _LEFT - _RIGHT) / max(1, len(counts))
    shapes = plot.grid()
    so_far = 0
    for place, count in enumerate(counts):
        so_far += count
        if count:
            y = plot.y(count)
            text = f"{range_text(found, place)}: {count:,} sessions; {100 * so_far / total:.3g} % up to here"
            shapes.append(_bar(_LEFT + place * step + 1, y, step - 2, plot.y(0) - y, "bar", text))
    every = max(1, math.ceil(len(counts) / 14))
    for place in range(0, len(counts), every):
        edge = size_text(found, found.edges[place]) if place < len(found.edges) else "more"
        shapes.append(plot.text_below(_LEFT + (place + 1) * step, edge))
    for row, (text, value) in enumerate((marks or {}).items()):
        x = _LEFT + _position(found, value) * step
        if _LEFT < x < WIDTH - _RIGHT:
            shapes.append(
                f'<line class="mark" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{plot.y(0):.1f}"/>'
                f"{_beside(x, _TOP + 10 + 13 * (row % 4), text)}"
            )
    return plot.drawing(shapes, label)


def _position(found: Distribution, value: int) -> float:
    """Return where a value lies, in buckets from the left, between the edges by their logarithms."""
    for place, edge in enumerate(found.edges):
        if value <= edge:
            low = found.edges[place - 1] if place else edge / 2
            return place + (math.log(value / low) / math.log(edge / low) if low > 0 and edge > low else 1.0)
    return len(found.edges) + 1.0


def _beside(x: float, y: float, text: str) -> str:
    """Return a text right of a line, or left of it where there is no room."""
    left = x + 4 + 6.2 * len(text) > WIDTH
    anchor, place = ("end", x - 4) if left else ("start", x + 4)
    return f'<text class="marktext" x="{place:.1f}" y="{y}" text-anchor="{anchor}">{escape(text)}</text>'


def _bar(x: float, y: float, width: float, height: float, css: str, text: str) -> str:
    return (
        f'<rect class="{css}" x="{x:.1f}" y="{y:.1f}" width="{max(width, 0.5):.1f}" height="{max(height, 0.4):.1f}">'
        f"<title>{escape(text)}</title></rect>"
    )


class _Plot:
    """The frame of a chart: the scale upwards, its lines, and the texts below."""

    def __init__(self, height: int, top: float) -> None:
        self._height = height
        self._levels = [level for level in nice_levels(top) if float(level).is_integer()] or [0.0]
        self._top = max(self._levels[-1], top, 1)

    def y(self, value: float) -> float:
        return self._height - _BOTTOM - value / self._top * (self._height - _TOP - _BOTTOM)

    def grid(self) -> list[str]:
        shapes = []
        for level in self._levels:
            y = self.y(level)
            shapes.append(
                f'<line class="grid" x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
                f'<text class="axis" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_short(level)}</text>'
            )
        return shapes

    def text_below(self, x: float, text: str) -> str:
        """Return a text under the plot, moved inwards where it would leave the drawing."""
        half = 3.5 * len(text)
        x = min(max(x, half), WIDTH - half)
        return f'<text class="axis" x="{x:.1f}" y="{self._height - 8}" text-anchor="middle">{escape(text)}</text>'

    def drawing(self, shapes: list[str], label: str) -> str:
        return (
            f'<svg viewBox="0 0 {WIDTH} {self._height}" role="img" aria-label="{escape(label, {chr(34): "&quot;"})}">'
            f"{''.join(shapes)}</svg>"
        )


def _short(level: float) -> str:
    for unit, scale in (("M", 1e6), ("k", 1e3)):
        if level >= scale:
            return f"{level / scale:g} {unit}"
    return f"{level:g}"
