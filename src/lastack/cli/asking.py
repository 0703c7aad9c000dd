"""What the commands that ask grouped questions share: their options, and how they print an answer."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

import click

from lastack.cli.common import Reading, tell

if TYPE_CHECKING:
    from lastack.app.grouped import Source
    from lastack.query.questions import Grouped, GroupedAnswer

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


def question_of(
    metrics: str,
    by: str,
    where: str,
    having: str,
    *,
    every_ns: int | None = None,
    sort: str | None = None,
    top: int | None = None,
    strays: bool = False,
) -> Grouped:
    """Return the question that the texts of a command line ask.

    Raises:
        UsageError: One of them is wrong; the message points at the place.
    """
    from lastack.query.keys import TIMES, parse_keys
    from lastack.query.measure_text import parse_measures
    from lastack.query.parse import parse_filter
    from lastack.query.questions import Grouped, parse_having, parse_sort

    if every_ns is not None and not set(by.replace(" ", "").casefold().split(",")) & set(TIMES):
        by = f"time,{by}" if by.strip() else "time"
    measures = parse_measures(metrics)
    keys = parse_keys(by, every_ns)
    node, more = parse_having(having, measures, keys)
    order, needed = parse_sort(sort, (*measures, *more), keys) if sort else (None, ())
    return Grouped(measures, keys, parse_filter(where), node, (*more, *needed), order, top, strays)


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
