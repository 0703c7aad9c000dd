"""What sessions are grouped by: fields, the short names of ends and services, and buckets of time."""

from __future__ import annotations

from dataclasses import dataclass

from lastack.model.units import format_duration
from lastack.query.lexer import mistake
from lastack.query.measure_text import split_list
from lastack.query.metrics import METRICS, Kind, Metric, Shape, nearest

#: Short name -> the names it stands for.
ALIASES: dict[str, tuple[str, ...]] = {
    "client": ("client.ip",),
    "server": ("server.ip",),
    "service": ("server.ip", "server.port"),
    "port": ("server.port",),
    "zones": ("client.zone", "server.zone"),
    "conversation": ("client.ip", "server.ip", "server.port"),
}
#: Names of time buckets: of sessions by their first packet, or by their last.
TIMES: dict[str, str] = {"time": "start_ns", "end_time": "end_ns"}
_GROUPED = frozenset({Kind.enum, Kind.text, Kind.address, Kind.number})


@dataclass(frozen=True, slots=True)
class Key:
    """One key column.

    Attributes:
        name: As people write it; the name of the column too.
        metric: Where its value comes from.
        width_ns: For a key of time, the width of its buckets; a bucket is named by its start.
    """

    name: str
    metric: Metric
    width_ns: int | None = None

    @property
    def column(self) -> Metric:
        """The key as a name of the filter language over grouped rows."""
        return Metric(
            self.name, self.metric.kind, Shape.column, (self.name,), self.metric.help, self.metric.vocabulary
        )


def time_key(width_ns: int, name: str = "time") -> Key:
    """Return the key of buckets of time.

    Args:
        width_ns: Their width.
        name: One of `TIMES`.
    """
    help_ = f"start of {format_duration(width_ns)}"
    column = TIMES[name]
    return Key(name, Metric(name, Kind.time, Shape.column, (column,), help_), width_ns)


def parse_keys(text: str, width_ns: int | None = None) -> tuple[Key, ...]:
    """Return the keys of a list with commas, each once; none for an empty text.

    Args:
        text: Names of fields, `client server service port app zones conversation`, `time`.
        width_ns: Width of time buckets, None if none was given.

    Raises:
        UsageError: One cannot be a key; the message has the text, carets and the nearest name.
    """
    found: dict[str, Key] = {}
    if not text.strip():
        return ()
    for column, part in split_list(text):
        if not part:
            raise mistake(text, column, 1, "a key was expected here, such as server", "keys")
        try:
            keys = _keys(part, width_ns)
        except ValueError as reason:
            raise mistake(text, column, len(part), str(reason), "keys") from None
        found |= {key.name: key for key in keys if key.name not in found}
    return tuple(found.values())


def _keys(text: str, width_ns: int | None) -> list[Key]:
    folded = text.casefold()
    if folded in TIMES:
        if width_ns is None:
            raise ValueError(f"{folded} needs the width of its buckets: add --every 10s")
        return [time_key(width_ns, folded)]
    return [Key(name, _metric(name, text)) for name in ALIASES.get(folded, (text,))]


def _metric(name: str, written: str) -> Metric:
    metric = METRICS.get(name) or METRICS.get(name.casefold())
    if metric is None:
        near = nearest(written, [*ALIASES, *TIMES, *(m.name for m in METRICS.values() if _groupable(m))])
        hint = f"did you mean {near}?" if near else "`lastack fields` lists the names"
        raise ValueError(f"nothing is called {written!r}: {hint}")
    if not _groupable(metric):
        what = (
            "a time: group by `time` and give --every"
            if metric.kind is Kind.time
            else "an amount, not a name"
        )
        raise ValueError(f"{metric.name} is {what}; keys are ends, ports, zones, app, cause and the like")
    return metric


def _groupable(metric: Metric) -> bool:
    return metric.shape is Shape.column and metric.kind in _GROUPED
