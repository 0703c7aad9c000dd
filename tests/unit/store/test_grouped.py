"""Grouped questions: the engine's answer is that of Python lists, and everything adds up."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.query.rows import random_rows, rows
from tests.unit.store import grouped_twin

from lastack.model.address import parse_address
from lastack.model.enums import Opening
from lastack.query.emit import base_filter
from lastack.query.keys import parse_keys
from lastack.query.mask import mask_rows
from lastack.query.measure_text import parse_measures
from lastack.query.metrics import Shape
from lastack.query.parse import parse_filter, session_metric
from lastack.query.questions import Grouped, GroupedAnswer, Histogram, Sort, log_edges, parse_having
from lastack.query.sql import GroupColumns, filter_sql
from lastack.store.dataset import Dataset
from lastack.store.grouped import ask_grouped, ask_histogram
from lastack.store.manifest import Run
from lastack.store.writer import DatasetWriter

MEASURES = (
    "sessions", "rst.count.srv", "bytes", "half_closed", "attempts", "cut", "refused_share", "syn/connection",
    "rst.srv/attempt", "min(ct)", "max(bytes.clt)", "avg(half_closed)", "p50(ct)", "p99(bytes)", "p90.5(end)",
    "distinct(client.ip)", "distinct(cause)", "count(rst > 0 and fin = 0)", "share(history = S*)",
    "example(rst > 0)", "fin/packets",
)  # fmt: skip
KEYS = (
    "server",
    "service",
    "client,port",
    "app",
    "cause,ending",
    "client.zone",
    "time",
    "end_time,opening",
    "vlan",
    "",
)
FILTERS = ("", "rst > 0", "opening = stray or fin > 0", "server.port in {80, 443}", "not ct > 0")


def dataset(path: Path, batch: Any) -> Dataset:
    with DatasetWriter(path) as writer:
        writer.write(batch)
        writer.finish(Run())
    return Dataset.open(path)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Dataset, Any]]:
    batches = [random_rows(300, seed, extreme=False) for seed in (1, 2)]
    folder = tmp_path_factory.mktemp("grouped")
    return [
        (dataset(folder / str(i), batch), pa.Table.from_batches([batch])) for i, batch in enumerate(batches)
    ]


@st.composite
def questions(draw: Any) -> Grouped:
    measures = parse_measures(",".join(draw(st.lists(st.sampled_from(MEASURES), min_size=1, max_size=4))))
    keys = parse_keys(draw(st.sampled_from(KEYS)), draw(st.sampled_from([10**9, 7 * 10**9, 60 * 10**9])))
    orders = [Sort(m.name, ascending=asc) for m in measures for asc in (True, False)]
    return Grouped(
        measures, keys, parse_filter(draw(st.sampled_from(FILTERS))),
        sort=draw(st.sampled_from([None, *orders])), top=draw(st.sampled_from([None, 1, 3])),
        strays=draw(st.booleans()),
    )  # fmt: skip


@settings(deadline=None)
@given(question=questions(), which=st.sampled_from([0, 1]))
def test_grouped__equals_python_lists(kept: Any, question: Grouped, which: int) -> None:
    store, table = kept[which]
    expected, actual = grouped_twin.answer(question, table), ask_grouped([store], question)
    assert [row.keys for row in actual.rows] == [row.keys for row in expected.rows]
    for mine, theirs in zip(
        [*actual.rows, actual.total, actual.others],
        [*expected.rows, expected.total, expected.others],
        strict=True,
    ):
        assert (mine is None) == (theirs is None)
        if mine is not None and theirs is not None:
            assert_same(
                question, mine.values, theirs.values, together=mine is actual.total or mine is actual.others
            )
    assert (actual.groups, actual.passing) == (expected.groups, expected.passing)


def assert_same(question: Grouped, mine: dict[str, Any], theirs: dict[str, Any], *, together: bool) -> None:
    for measure in question.measures:
        if together and measure.name.startswith("example"):
            assert mine[measure.name] is None, "no session stands for several groups"
            continue
        expected = theirs[measure.name]
        if isinstance(expected, float):
            expected = pytest.approx(expected, rel=1e-9)
        assert mine[measure.name] == expected, measure.name


def asked(store: Dataset, measures: str, by: str, having: str = "", top: int | None = None) -> GroupedAnswer:
    chosen, keys = parse_measures(measures), parse_keys(by)
    node, more = parse_having(having, chosen, keys)
    return ask_grouped([store], Grouped(chosen, keys, having=node, having_measures=more, top=top))


def test_others__and_the_listed_add_up_to_the_total(kept: Any) -> None:
    answer = asked(kept[0][0], "sessions,bytes,rst", "client,port", top=4)
    assert answer.others is not None
    for name in ("sessions", "bytes", "rst"):
        assert (
            sum(row.values[name] for row in answer.rows) + answer.others.values[name]
            == answer.total.values[name]
        )


def test_having__moves_groups_to_the_others_and_leaves_the_total(kept: Any) -> None:
    store = kept[0][0]
    whole, part = asked(store, "sessions", "port"), asked(store, "sessions", "port", "sessions > 50")
    assert 0 < len(part.rows) == part.passing < part.groups == len(whole.rows)
    assert all(row.values["sessions"] > 50 for row in part.rows)
    assert part.total.values == whole.total.values
    assert part.others is not None


HAVING = (
    "sessions > 2", "rst.srv/connection > 50% or sessions = 1", "p50(ct) > 5s", "avg(ct) < 5s and sessions >= 2",
    "not refused_share > 0", "distinct(cause) in {1, 3..4}", "count(rst > 0 and fin = 0)/sessions > 0.2",
    "max(ct) is not null and bytes > 12B", "server.port in {1, 3} or sessions > 4", "min(ct) is null",
)  # fmt: skip


@pytest.mark.parametrize("text", HAVING)
def test_having__mask_equals_sql(kept: Any, text: str) -> None:
    measures, keys = parse_measures("sessions"), parse_keys("client,port")
    node, more = parse_having(text, measures, keys)
    every = ask_grouped([kept[0][0]], Grouped((*measures, *more), keys))
    table = grouped_table(every)
    condition, params = filter_sql(node, GroupColumns())
    with duckdb.connect() as connection:
        connection.register("grouped", table)
        by_sql = [row[0] for row in connection.execute(f"SELECT {condition} FROM grouped", params).fetchall()]
    assert mask_rows(node, table).tolist() == by_sql
    assert 0 < sum(by_sql) < len(by_sql), "a test that all or nothing passes tells little"


def grouped_table(answer: GroupedAnswer) -> Any:
    columns: dict[str, Any] = {
        key.name: [row.keys[i] for row in answer.rows] for i, key in enumerate(answer.question.keys)
    }
    for measure in answer.question.all_measures:
        columns[measure.name] = [row.values[measure.name] for row in answer.rows]
    return pa.table(
        {name: pa.array([None if v is None else v for v in values]) for name, values in columns.items()}
    )


def test_ratio__of_something_over_nothing_is_infinite_and_first(tmp_path: Path) -> None:
    refuses = {"server_port": 25, "rst_srv": 1, "opening": "refused"}
    works = {"server_port": 80, "opening": "established"}
    silent = {"server_port": 99, "opening": "unanswered"}
    store = dataset(tmp_path / "d", rows(refuses, works, silent))
    answer = asked(store, "rst.srv/connection", "port")
    assert [(row.keys[0], row.values["rst.srv/connection"]) for row in answer.rows] == [
        (25, math.inf),
        (80, 0),
        (99, None),
    ]
    assert answer.total.values["rst.srv/connection"] == 1


def test_strays__are_no_sessions_unless_asked_for(tmp_path: Path) -> None:
    store = dataset(tmp_path / "d", rows({"opening": Opening.stray.name, "rst_srv": 9}, {}))
    measures = parse_measures("sessions,rst.srv")
    without, within = (ask_grouped([store], Grouped(measures, strays=strays)) for strays in (False, True))
    assert without.rows[0].values == {"sessions": 1, "rst.srv": 0}
    assert within.rows[0].values == {"sessions": 2, "rst.srv": 9}


def test_two_datasets__are_one_question(kept: Any) -> None:
    question = Grouped(parse_measures("sessions"))
    alone = [ask_grouped([store], question).total.values["sessions"] for store, _ in kept]
    assert ask_grouped([store for store, _ in kept], question).total.values["sessions"] == sum(alone)


def test_empty_dataset__gives_an_empty_answer(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "d") as writer:
        writer.finish(Run())
    answer = asked(Dataset.open(tmp_path / "d"), "sessions,p50(ct),rst/connection", "server")
    assert (answer.rows, answer.groups, answer.others) == ([], 0, None)
    assert answer.total.values == {"sessions": 0, "p50(ct)": None, "rst/connection": None}


def test_raw_column_names__as_keys_do_not_hide_session_columns(kept: Any) -> None:
    answer = asked(kept[0][0], "sessions,distinct(client.ip)", "server_port", top=1)
    same = asked(kept[0][0], "sessions,distinct(client.ip)", "port", top=1)
    assert answer.others is not None
    assert same.others is not None
    assert answer.others.values == same.others.values


@settings(deadline=None, max_examples=30)
@given(
    st.sampled_from(["ct", "half_closed", "bytes.srv", "duration", "packets"]),
    st.sampled_from(["", "ending"]),
)
def test_histogram__counts_as_python_does(kept: Any, name: str, key: str) -> None:
    store, table = kept[0]
    metric, edges = session_metric(name), log_edges(10, 10**12)
    by = parse_keys(key)[0] if key else None
    counted: dict[Any, list[int]] = {}
    for row, chosen in zip(table.to_pylist(), mask_rows(base_filter(None, strays=False), table), strict=True):
        amount = grouped_twin.number(metric, row)
        if chosen:
            bins = counted.setdefault(row[key] if key else None, [0] * (len(edges) + 1))
            if amount is not None:
                bins[next((i for i, edge in enumerate(edges) if amount <= edge), len(edges))] += 1
    assert dict(ask_histogram([store], Histogram(metric, edges, None, by))) == counted
    assert metric.shape in Shape


def test_addresses__come_in_the_order_of_their_bytes(tmp_path: Path) -> None:
    texts = ["10.0.0.1", "192.0.2.1", "2001:db8::1", "7fff::1", "8000::1", "fe80::1", "ff02::1", "::1"]
    store = dataset(tmp_path / "d", rows(*({"client_ip": text} for text in texts)))
    found = [row.keys[0] for row in asked(store, "sessions", "client").rows]
    assert found == sorted(parse_address(text) for text in texts)
    having = asked(store, "sessions", "client", "client.ip in fe80::/10")
    assert [row.keys[0] for row in having.rows] == [parse_address("fe80::1")]
