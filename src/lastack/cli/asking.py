"""What the commands that ask grouped questions share: their options, and how they print an answer."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lastack.cli.common import Reading, tell

if TYPE_CHECKING:
    from lastack.app.grouped import Source
    from lastack.query.questions import GroupedAnswer

F = TypeVar("F", bound=Callable[..., Any])
FORMATS = ("table", "csv", "json")

filter_option = click.option(
    "-f",
    "--filter",
    "--where",
    "where",
    default="",
    metavar="FILTER",
    help="Only sessions that pass a filter.",
)
having_option = click.option(
    "--having", default="", metavar="FILTER", help="List only groups whose sums pass a filter."
)
format_option = click.option(
    "--format", "form", type=click.Choice(FORMATS), help="Format (default: by the name of -o, else table)."
)
output_option = click.option(
    "-o", "--output", default="-", metavar="FILE", help="Where to write; - is standard output."
)
strays_option = click.option(
    "--strays", is_flag=True, help="Count lone packets (backscatter) too, which are no sessions."
)


@contextlib.contextmanager
def opened(inputs: Sequence[str], reading: Reading) -> Iterator[Source]:
    """Yield the sessions of captures and datasets, with progress while captures are read."""
    from lastack.app.grouped import open_source
    from lastack.cli.progress import shown_progress

    with contextlib.ExitStack() as stack:
        with shown_progress(reading, inputs) as progress:
            source = stack.enter_context(open_source(inputs, reading.track_options, progress))
        yield source


def write(answer: GroupedAnswer, form: str | None, output: str, text: Callable[[], str]) -> None:
    """Write an answer: `text` makes the table for people, the other formats are made here."""
    from lastack.store.target import Target
    from lastack.view.grouped import render_csv, render_json

    form = form or {"csv": "csv", "json": "json"}.get(output.rpartition(".")[2], "table")
    content = {"csv": lambda: render_csv(answer), "json": lambda: render_json(answer), "table": text}[form]()
    target = Target(output)
    target.stream.write(content.encode())
    target.commit()


def close(answer: GroupedAnswer, reading: Reading) -> None:
    """Tell what the reader of an answer must know of the input."""
    tell(answer.notes, reading)
