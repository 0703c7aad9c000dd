"""Options that several commands share, and the values they take."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from lastack.app.options import TrackOptions

F = TypeVar("F", bound=Callable[..., Any])
_MULTIPLES = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}


class Count(click.ParamType[int]):
    """A whole number with an optional multiple: `500k`, `5M`."""

    name = "N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d{1,15}(?:\.\d{1,6})?)([kKmMgG]?)", str(value))
        if match is None:
            self.fail(f"{value!r} is not a number such as 20, 500k or 5M", param, ctx)
        unit = {"K": "k", "m": "M", "g": "G"}.get(match.group(2), match.group(2))
        return round(float(match.group(1)) * _MULTIPLES[unit])


class PositiveCount(Count):
    """A count of at least one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number, refusing zero."""
        number = super().convert(value, param, ctx)
        if number < 1:
            self.fail("must be at least 1", param, ctx)
        return number


class Duration(click.ParamType[int]):
    """A duration with a unit, in nanoseconds: `30s`, `2h4m`."""

    name = "DURATION"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return nanoseconds."""
        from lastack.model.units import parse_duration_ns

        if isinstance(value, int):
            return value
        try:
            ns = parse_duration_ns(str(value))
        except (ValueError, OverflowError) as reason:
            self.fail(str(reason), param, ctx)
        if not 0 < ns < 2**62:
            self.fail("must be longer than 0 and shorter than 146 years", param, ctx)
        return ns


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read captures, as the command line says it.

    Attributes:
        threads: Worker threads, None for as many as the machine has.
        max_sessions: Sessions tracked at once, None for what memory allows.
        idle_timeout: Nanoseconds of silence that cut a session, None for never.
        follow: Read on as files grow.
        quiet: No progress, no notes.
        no_progress: No progress.
        config: Configuration file with zones and applications, as the user named it.
    """

    threads: int | None
    max_sessions: int | None
    idle_timeout: int | None
    follow: bool
    quiet: bool
    no_progress: bool
    config: str | None = None

    @property
    def track_options(self) -> TrackOptions:
        """What the tracker is told.

        Raises:
            InputError: The configuration cannot be read, or has mistakes.
        """
        from lastack.app.config_place import find_config
        from lastack.app.options import TrackOptions

        classes = None
        if (path := find_config(self.config)) is not None:
            from lastack.app.config import load_classes

            classes = load_classes(path)
        return TrackOptions(
            self.threads,
            self.max_sessions,
            self.idle_timeout,
            self.follow,
            classes=classes,
            reclassify=self.config is not None,
        )

    @property
    def shows_progress(self) -> bool:
        """Whether a progress line is wanted and has a terminal to live on."""
        return not self.quiet and not self.no_progress and sys.stderr.isatty()


_OPTIONS = (
    click.option("--threads", type=PositiveCount(), help="Worker threads (default: one per processor)."),
    click.option(
        "--max-sessions",
        type=PositiveCount(),
        help="Sessions tracked at once, such as 5M; beyond it the oldest leave early and are counted "
        "(default: what memory allows).",
    ),
    click.option(
        "--idle-timeout",
        type=Duration(),
        help="End a session after this silence, such as 2h (default: never).",
    ),
    click.option("--follow", is_flag=True, help="Read on as the capture grows; Ctrl-C ends it."),
    click.option(
        "--config",
        metavar="FILE",
        help="Zones and applications (default for captures: $LASTACK_CONFIG, else lastack.toml here; `none` for "
        "none); given here, datasets are classified anew.",
    ),
    click.option("-q", "--quiet", is_flag=True, help="No progress and no notes; errors only."),
    click.option("--no-progress", is_flag=True, help="No progress line."),
)


def reading_options(command: F) -> F:
    """Add the options that say how captures are read; the command takes them as `reading`."""

    def wrapped(
        threads: int | None,
        max_sessions: int | None,
        idle_timeout: int | None,
        follow: bool,
        quiet: bool,
        no_progress: bool,
        config: str | None,
        **others: Any,
    ) -> Any:
        reading = Reading(threads, max_sessions, idle_timeout, follow, quiet, no_progress, config)
        return command(reading=reading, **others)

    wrapped.__doc__ = command.__doc__
    wrapped.__name__ = command.__name__
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[return-value]


def parse_columns(text: str | None) -> tuple[str, ...] | None:
    """Return the fields that `--columns a,b,c` names, None when it was not given.

    Raises:
        UsageError: A name is not a field.
    """
    from lastack.model.errors import UsageError
    from lastack.model.fields import BY_NAME
    from lastack.query.metrics import METRICS, Shape, nearest

    if text is None:
        return None
    names = []
    for word in filter(None, (part.strip() for part in text.split(","))):
        metric = METRICS.get(word)
        if word in BY_NAME:
            names.append(word)
        elif metric is not None and metric.shape is Shape.column:
            names.append(metric.columns[0])
        elif metric is not None:
            raise UsageError(f"columns: {word} is computed; its columns are {', '.join(metric.columns)}")
        else:
            near = nearest(word, list(BY_NAME))
            hint = f"did you mean {near}?" if near else "`lastack fields` lists them"
            raise UsageError(f"columns: no field is called {word!r}: {hint}")
    if not names:
        raise UsageError("columns: name at least one field, such as --columns client_ip,server_ip,ending")
    return tuple(dict.fromkeys(names))


def tell(notes: list[str], reading: Reading, limit: int = 20) -> None:
    """Print notes on standard error, the first few of many."""
    if reading.quiet:
        return
    for note in notes[:limit]:
        click.echo(f"lastack: {note}", err=True)
    if len(notes) > limit:
        click.echo(f"lastack: and {len(notes) - limit:,} more notes of this kind", err=True)
