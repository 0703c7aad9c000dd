"""A progress line on the terminal while captures are read: bytes, packets/s, sessions, time left."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lastack.cli.common import Reading
from lastack.store.place import is_database

if TYPE_CHECKING:
    from lastack.app.options import Progress, ProgressState


@contextlib.contextmanager
def shown_progress(
    reading: Reading, inputs: Sequence[str], *, config: bool = True, packets: bool = False
) -> Iterator[Progress | None]:
    """Yield what the reader calls with its state; None when no progress is wanted or nobody would see it.

    Args:
        reading: Whether progress is wanted.
        inputs: What is read; datasets alone need neither progress nor the compiler.
        config: Say which configuration is in force.
        packets: The captures that datasets were made from are read again.
    """
    captures = any(not is_database(name) and not Path(name).is_dir() for name in inputs)
    if config and (captures or reading.config is not None):
        _tell_config(reading)
    captures |= packets
    if captures:
        prepare_kernels(reading)
    if not captures or not reading.shows_progress:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (
        BarColumn(bar_width=16),
        DownloadColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[sessions]}"),
        TimeRemainingColumn(compact=True),
    )
    console = Console(file=sys.stderr)
    with Bar(*columns, console=console, transient=True, refresh_per_second=5) as bar:
        task = bar.add_task("", total=None, rate="", sessions="")

        def update(state: ProgressState) -> None:
            per_second = state.packets / state.seconds if state.seconds > 0 else 0
            bar.update(
                task,
                completed=state.bytes_read,
                total=state.bytes_total,
                rate=f"{_short(per_second)} packets/s",
                sessions=f"{_short(state.sessions_live + state.rows)} sessions",
            )

        yield update


def _tell_config(reading: Reading) -> None:
    """Say which configuration is in force, as a file that lies in the current folder may be a surprise."""
    from lastack.app.config_place import find_config

    path = find_config(reading.config)
    if path is not None and not reading.quiet:
        click.echo(f"lastack: zones and applications from {path}", err=True)


def prepare_kernels(reading: Reading) -> None:
    """Compile what the first run needs, and say so, as it takes seconds and happens once."""
    from lastack.app.prepare import ensure

    ensure(None if reading.quiet else lambda text: click.echo(f"lastack: {text}", err=True))


def prepare_replay(quiet: bool) -> None:
    """Compile what runs a firewall over captures, and say so; it happens once."""
    from lastack.app.prepare import ensure_replay

    ensure_replay(None if quiet else lambda text: click.echo(f"lastack: {text}", err=True))


def prepare_inline(quiet: bool) -> None:
    """Compile what judges packets one by one, and say so; it happens once."""
    from lastack.app.prepare import ensure_inline

    ensure_inline(None if quiet else lambda text: click.echo(f"lastack: {text}", err=True))


def _short(number: float) -> str:
    """Return a number in at most five characters, such as `12.3M`."""
    for unit, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= scale:
            return f"{number / scale:.3g}{unit}"
    return f"{number:.0f}"
