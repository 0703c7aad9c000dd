"""Hypothesis strategies for boxes: any numbers of the numeric form, with timers that the silences of tests meet."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from lastack.firewall.table import (
    FOREVER_NS,
    PHASE_CODE,
    Box,
    Linux,
    Room,
    Selector,
    Table,
    TimerRow,
    phase_table,
)
from lastack.firewall.words import By, Event, Phase

S = 1_000_000_000
LENGTHS = [1, S - 1, S, S + 1, 2 * S, 5 * S, 31 * S, 120 * S, 400 * S, FOREVER_NS]

timers = st.builds(
    TimerRow,
    name=st.just("t"),
    ns=st.sampled_from(LENGTHS),
    mode=st.sampled_from([0, 0, 1, 1, 2]),
    refresh=st.tuples(st.sampled_from([63, 127, 8, 62, 16, 0]), st.sampled_from([63, 63, 0])),
    resolution_ns=st.sampled_from([0, S]),
)
exceptions = st.tuples(
    st.sampled_from(list(Phase)),
    st.sampled_from(list(Event)),
    st.sampled_from(list(By)),
    st.sampled_from(list(Phase)),
)
codes = st.tuples(st.integers(0, 3), st.integers(0, 3))


@st.composite
def flag_tables(draw: Any) -> Table:
    """Any table of the `flags` engine."""
    rows = tuple(draw(st.lists(timers, min_size=1, max_size=4)))
    places = st.integers(0, len(rows) - 1)
    plain = draw(st.booleans())
    one = draw(places)
    timer_of = [(one, one)]
    for _ in PHASE_CODE:
        place = draw(places)
        timer_of.append((place, place if plain else draw(places)))
    others = tuple(draw(st.lists(codes, min_size=5, max_size=5)))
    return Table(
        rows,
        tuple(timer_of),
        phase_table(draw(st.lists(exceptions, max_size=3))),
        draw(st.integers(0, 3)),
        ((2, draw(st.integers(0, 3))), *(others if draw(st.booleans()) else ((0, 0),) * 5)),
        per_direction=draw(st.sampled_from([False, False, True])),
    )


@st.composite
def linux_tables(draw: Any) -> Table:
    """Any table of the `linux_conntrack` engine."""
    lengths = st.sampled_from([S, 2 * S, 5 * S, 31 * S, 120 * S, 400 * S])
    rows = tuple(TimerRow("t", draw(lengths)) for _ in range(12))
    switches = Linux(*(draw(st.booleans()) for _ in range(3)), draw(st.integers(1, 3)), draw(st.booleans()))
    codes_of = ((2, 2), *(draw(st.lists(codes, min_size=5, max_size=5))))
    return Table(rows, linux=switches, no_session=tuple(codes_of))


selectors = st.builds(
    Selector,
    table=st.integers(0, 1),
    ports=st.sampled_from([(0, 65535), (443, 443), (8000, 9000), (22, 22)]),
    clients=st.sampled_from([(), ((0xFFFF0A000000, (1 << 128) - 256),), ((1, (1 << 128) - 1),)]),
    servers=st.sampled_from([(), ((0xFFFF0A000002, (1 << 128) - 1),)]),
)
rooms = st.one_of(
    st.just(Room()),
    st.builds(
        Room,
        limit=st.integers(0, 3),
        evict=st.lists(st.integers(1, 9), max_size=3, unique=True).map(tuple),
        scale_from=st.integers(0, 2),
        scale_to=st.sampled_from([0, 3, 4]),
        scale_by=st.sampled_from([1.0, 2.0, 3.0]),
        scale_every_ns=st.sampled_from([1, S]),
    ),
)


@st.composite
def boxes(draw: Any, tables: st.SearchStrategy[Table] | None = None) -> Box:
    """Any box of one engine or of both."""
    one = tables if tables is not None else st.one_of(flag_tables(), linux_tables())
    return Box(
        tuple(draw(st.lists(one, min_size=2, max_size=2))),
        tuple(draw(st.lists(selectors, max_size=2))),
        draw(rooms),
    )
