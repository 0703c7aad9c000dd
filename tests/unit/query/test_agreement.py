"""Mask and SQL are two readings of one filter: they must choose the same rows."""

from __future__ import annotations

from typing import Any

import duckdb
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.query.rows import random_rows

from lastack.query.mask import mask_rows
from lastack.query.metrics import METRICS, Kind, Metric
from lastack.query.operators import OPERATORS
from lastack.query.parse import parse_filter
from lastack.query.sql import filter_sql

BATCHES = [random_rows(200, seed, extreme=seed % 2 == 1) for seed in range(4)]


def _integers() -> st.SearchStrategy[str]:
    edges = st.sampled_from([-(2**63), -1, 0, 1, 2, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1])
    return st.one_of(st.integers(0, 5), edges, st.integers(-5, 10**10)).map(str)


def _values(metric: Metric) -> st.SearchStrategy[str]:
    match metric.kind:
        case Kind.number:
            return _integers()
        case Kind.real:
            return st.sampled_from(["0", "0.1", "0.9", "0.5", "1", "-1", "1e9"])
        case Kind.size:
            return st.one_of(_integers(), st.sampled_from(["1kB", "3B", "10GB"]))
        case Kind.duration:
            return st.sampled_from(["0", "1s", "250ms", "2h4m", "-1s", "9s", "2900s"])
        case Kind.time:
            return st.sampled_from(["2023-11-14T22:13:20Z", "2023-11-14T22:13:25.5+00:00", "1970-01-01"])
        case Kind.enum:
            return st.sampled_from(metric.vocabulary)
        case Kind.text:
            return st.sampled_from(['"a"', "Ff", "f*", "*A?ad", '"x\ny"', "'ß*?'", "*", "w?b", '""'])
        case Kind.address:
            return st.sampled_from(
                ["10.0.0.1", "10.0.0.0/8", "10.0.1.0/24", "2001:db8::/32", "::/0", "0.0.0.0/0"]
            )
    raise AssertionError(metric.kind)


@st.composite
def _comparison(draw: Any) -> str:
    metric = METRICS[draw(st.sampled_from(sorted(METRICS)))]
    symbol = draw(st.sampled_from([s for s, row in OPERATORS.items() if metric.kind in row.kinds]))
    if symbol.startswith("is"):
        return f"{metric.name} {symbol}"
    if symbol in ("in", "not in"):
        values = draw(st.lists(_values(metric), min_size=1, max_size=3))
        return f"{metric.name} {symbol} {{{', '.join(values)}}}"
    return f"{metric.name} {symbol} {draw(_values(metric))}"


def filters() -> st.SearchStrategy[str]:
    return st.recursive(
        _comparison(),
        lambda inner: st.one_of(
            st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(
                lambda t: f"({t[0]}) {t[1]} ({t[2]})"
            ),
            inner.map(lambda text: f"not ({text})"),
        ),
        max_leaves=5,
    )


def chosen_by_sql(text: str, batch: Any) -> list[bool]:
    condition, params = filter_sql(parse_filter(text))
    connection = duckdb.connect()
    connection.register("rows", pa.Table.from_batches([batch]))
    answer = connection.execute(f"SELECT {condition} FROM rows", params).fetchall()
    assert all(row[0] is not None for row in answer), "two-valued: a filter never answers null"
    return [row[0] for row in answer]


@settings(max_examples=300, deadline=None)
@given(filters(), st.sampled_from(range(len(BATCHES))))
def test_filter__mask_equals_sql(text: str, which: int) -> None:
    batch = BATCHES[which]
    assert mask_rows(parse_filter(text), batch).tolist() == chosen_by_sql(text, batch)


@settings(max_examples=100, deadline=None)
@given(filters())
def test_filter__not_is_the_complement(text: str) -> None:
    batch = BATCHES[0]
    inside = mask_rows(parse_filter(text), batch)
    outside = mask_rows(parse_filter(f"not ({text})"), batch)
    assert (inside ^ outside).all()
