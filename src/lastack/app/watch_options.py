"""What a watch can be told, and the file that it is told in, read again on SIGHUP.

[watch]
roll = "10s"
keep_age = "30d"
half_closed_idle = "24h"

[[alert]]                     # see lastack.app.alerts
name = "resets"
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from lastack.app.alerts import Alert, parse_alerts
from lastack.model.errors import AccessError, InputError
from lastack.model.units import NS_PER_S, parse_duration_ns, parse_size
from lastack.query.zones import Classes
from lastack.store.retention import Retention
from lastack.tracking.standing import Timeouts

_MOST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """How to watch.

    Attributes:
        roll_ns: Time after which finished sessions become a segment.
        roll_rows: Rows after which they do at once.
        snapshot_ns: Time between snapshots of open sessions, 0 for none.
        snapshot_rows: Sessions in a snapshot at most.
        max_sessions: Sessions held at a time, None for what half of the memory holds.
        timeouts: Silence that ends sessions.
        retention: What the dataset keeps.
        classes: Zones and applications.
        alerts: Rules.
        alert_every_ns: Time between evaluations of the rules.
    """

    roll_ns: int = 10 * NS_PER_S
    roll_rows: int = 100_000
    snapshot_ns: int = 10 * NS_PER_S
    snapshot_rows: int = 100_000
    max_sessions: int | None = None
    timeouts: Timeouts = field(default_factory=Timeouts)
    retention: Retention = field(default_factory=Retention)
    classes: Classes | None = None
    alerts: tuple[Alert, ...] = ()
    alert_every_ns: int = 15 * NS_PER_S


#: Keys of [watch] that are durations, and where they go.
_DURATIONS = {
    "roll": "roll_ns", "snapshot": "snapshot_ns", "alert_every": "alert_every_ns",
    "established_idle": "established_ns", "half_open_idle": "half_open_ns",
    "half_closed_idle": "half_closed_ns", "closed_linger": "closed_ns", "keep_age": "age_s",
}  # fmt: skip
_COUNTS = ("roll_rows", "snapshot_rows", "max_sessions")
KEYS = (*_DURATIONS, *_COUNTS, "keep_size")


def load_settings(path: str) -> tuple[dict[str, Any], tuple[Alert, ...]]:
    """Return the values of [watch] (durations in ns, sizes in bytes) and the alert rules of a file.

    Raises:
        InputError: It cannot be read, or is wrong; the message has every mistake with its place.
        AccessError: It must not be read.
    """
    try:
        with Path(path).open("rb") as stream:
            document = tomllib.loads(stream.read(_MOST_BYTES).decode("utf-8"))
    except PermissionError as error:
        raise AccessError(f"{path}: {error.strerror}; ask its owner") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; check the name") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from None
    problems = [f"{path}: [{key}]: no such table; there are watch and alert" for key in document]
    problems = [text for text in problems if "[watch]" not in text and "[alert]" not in text]
    values = _values(path, document.get("watch", {}), problems)
    alerts = parse_alerts(path, document.get("alert", []), problems)
    if problems:
        raise InputError("\n  ".join(problems))
    return values, alerts


def _values(path: str, table: Any, problems: list[str]) -> dict[str, Any]:
    if not isinstance(table, dict):
        problems.append(f"{path}: watch must be a table, [watch]")
        return {}
    values: dict[str, Any] = {}
    for key, value in table.items():
        place = f"{path}: watch.{key}"
        try:
            if key in _DURATIONS:
                ns = parse_duration_ns(value) if isinstance(value, str) else -1
                if ns < 0 or (ns == 0 and key != "snapshot"):
                    raise ValueError('write a duration, such as "10s"')
                values[key] = ns
            elif key == "keep_size":
                values[key] = parse_size(value) if isinstance(value, str) else int(value)
            elif key in _COUNTS:
                if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                    raise ValueError("write a number of at least 1")
                values[key] = value
            else:
                problems.append(f"{place}: no such key; there are {', '.join(KEYS)}")
        except (ValueError, OverflowError, TypeError) as error:
            problems.append(f"{place}: {error}")
    return values


def with_values(options: WatchOptions, values: Mapping[str, Any]) -> WatchOptions:
    """Return options with values of [watch] in their places; values of None change nothing."""
    timeouts, retention, own = {}, {}, {}
    names = {one.name for one in fields(Timeouts)}
    for key, value in values.items():
        if value is None:
            continue
        name = _DURATIONS.get(key, key)
        if name in names:
            timeouts[name] = value
        elif key == "keep_age":
            retention["age_s"] = value / NS_PER_S
        elif key == "keep_size":
            retention["size"] = value
        else:
            own[name] = value
    return replace(
        options,
        timeouts=replace(options.timeouts, **timeouts),
        retention=replace(options.retention, **retention),
        **own,
    )
