"""The numbers of a chart for programs: CSV and JSON."""

from __future__ import annotations

import csv
import io
import json

from lastack.query.series import Distribution, TimeChart
from lastack.view.quantities import plain_value, unit_of


def render_csv(chart: TimeChart | Distribution) -> str:
    """Return one line for each bucket: its start in ns (or upper edge, empty above all), then each line's value."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if isinstance(chart, TimeChart):
        writer.writerow(["start_ns", *(series.name for series in chart.series)])
        for place, start in enumerate(chart.starts):
            writer.writerow([start, *(plain_value(series.values[place]) for series in chart.series)])
        return out.getvalue()
    writer.writerow([f"{chart.name}_up_to", *chart.counts])
    for place, numbers in enumerate(zip(*chart.counts.values(), strict=True)):
        writer.writerow([chart.edges[place] if place < len(chart.edges) else None, *numbers])
    return out.getvalue()


def render_json(chart: TimeChart | Distribution) -> str:
    """Return a chart as a JSON text."""
    if isinstance(chart, TimeChart):
        document = {
            "starts_ns": list(chart.starts),
            "width_ns": chart.width_ns,
            "series": [
                {
                    "name": series.name,
                    "metric": series.measure.name,
                    "unit": unit_of(series.measure),
                    "values": [plain_value(value) for value in series.values],
                }
                for series in chart.series
            ],
        }
    else:
        document = {"quantity": chart.name, "up_to": list(chart.edges), "counts": chart.counts}
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"
