"""Every question over the same rows, asked of DuckDB and of ClickHouse's engine: the same to the last digit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.doubles.clickhouse import Double, why_not
from tests.unit.query.rows import random_rows
from tests.unit.query.test_agreement import filters
from tests.unit.store.test_grouped import FILTERS, KEYS, MEASURES

from lastack.model.address import parse_network
from lastack.model.arrow import session_schema
from lastack.query.dialect import DUCKDB, Dialect, Fragment
from lastack.query.dialect_clickhouse import CLICKHOUSE
from lastack.query.keys import parse_keys
from lastack.query.measure_text import parse_measures
from lastack.query.metrics import METRICS, Kind, Metric
from lastack.query.operators import OPERATORS
from lastack.query.parse import parse_filter
from lastack.query.question_text import parse_question
from lastack.query.questions import Grouped, GroupedAnswer, Histogram, Sort, log_edges
from lastack.query.sql import filter_sql
from lastack.query.zones import Application, Block, Classes, Zone
from lastack.store.clickhouse_push import Loader, prepare, push_all
from lastack.store.clickhouse_segments import file_source
from lastack.store.clickhouse_stored import ClickHouseSessions
from lastack.store.dataset import Dataset, Order, connect
from lastack.store.manifest import Run
from lastack.store.place import place_of
from lastack.store.stored import Folders
from lastack.store.writer import DatasetWriter

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())
KINDS = ("usual", "extreme", "empty")


@dataclass(frozen=True)
class Both:
    """The same rows twice."""

    folders: Folders
    database: ClickHouseSessions


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Both]]:
    """Yield rows of usual size, rows with the extremes of every type, and none, each in a folder and a database."""
    folder = tmp_path_factory.mktemp("answers")
    rows = {
        "usual": [random_rows(700, seed) for seed in (1, 2)],
        "extreme": [random_rows(300, 3, extreme=True)],
        "empty": [],
    }
    double = Double(folder / "engine")
    double.start()
    try:
        yield {name: _kept(folder / name, double.url(name), batches) for name, batches in rows.items()}
    finally:
        double.kill()


def _kept(path: Path, url: str, batches: list[Any]) -> Both:
    with DatasetWriter(path) as writer:
        for batch in batches:
            writer.write(batch)
        writer.finish(Run())
    dataset = Dataset.open(path)
    server = prepare(place_of(url))
    push_all(Loader(server), [(file_source(path / one.file), one.rows) for one in dataset.manifest.segments])
    return Both(Folders([dataset]), ClickHouseSessions(server))


def said(answer: GroupedAnswer) -> list[Any]:
    """Return all that an answer says, with the types of numbers."""
    rows = [*answer.rows, answer.total, *([answer.others] if answer.others is not None else [])]
    values = [(row.keys, {n: (type(v).__name__, v) for n, v in row.values.items()}) for row in rows]
    return [values, answer.groups, answer.passing]


def same(both: Both, question: Grouped) -> None:
    """Ask both, and compare."""
    assert said(both.database.grouped(question)) == said(both.folders.grouped(question))


#: Values of each kind to compare with.
VALUES = {
    Kind.number: ("3", "-1", str(2**64 - 1)),
    Kind.real: ("0.1", "0.9", "1e9"),
    Kind.size: ("1", "3B", "1kB"),
    Kind.duration: ("0", "5s", "-1s"),
    Kind.time: ("2023-11-14T22:13:25Z", "1970-01-01"),
    Kind.text: ("a", '""', "f*", "w?b", "*A?ad", "'ß*?'", "x?y", '"with space"'),
    Kind.address: ("10.0.0.1", "10.0.0.0/8", "2001:db8::/32", "::/0"),
}


def _comparisons(metric: Metric) -> Iterator[str]:
    values = metric.vocabulary[:2] if metric.kind is Kind.enum else VALUES[metric.kind]
    for symbol, row in OPERATORS.items():
        if metric.kind not in row.kinds:
            continue
        if symbol.startswith("is"):
            yield f"{metric.name} {symbol}"
        elif symbol in ("in", "not in"):
            yield f"{metric.name} {symbol} {{{', '.join(values)}}}"
        else:
            yield from (f"{metric.name} {symbol} {value}" for value in values)


@pytest.mark.parametrize("kind", ["usual", "extreme"])
@pytest.mark.parametrize("which", list(Kind), ids=lambda kind: kind.name)
def test_filter__of_every_name_and_operator_passes_the_same_sessions(
    kept: dict[str, Both], which: Kind, kind: str
) -> None:
    texts = [text for m in METRICS.values() if m.kind is which for text in _comparisons(m)]
    for first in range(0, len(texts), 400):
        assert not _told_apart(kept[kind], texts[first : first + 400])


@settings(max_examples=20, deadline=None)
@given(texts=st.lists(filters(), min_size=20, max_size=30), kind=st.sampled_from(["usual", "extreme"]))
def test_filter__made_of_any_others_passes_the_same_sessions(
    kept: dict[str, Both], texts: list[str], kind: str
) -> None:
    assert not _told_apart(kept[kind], texts)


def _told_apart(both: Both, texts: list[str]) -> dict[str, Any]:
    """Return the filters that do not pass as many sessions here and there, with the numbers."""
    with connect() as connection:
        table = pa.Table.from_batches(list(both.folders.scan()), session_schema())
        connection.register("rows", table)
        ours = connection.execute(*_counts(texts, DUCKDB, ("rows", []))).fetchall()
    theirs = both.database.server.shared.rows(_counts(texts, CLICKHOUSE, both.database.source))
    return {t: (a, b) for t, a, b in zip(texts, theirs[0], ours[0], strict=True) if a != b}


def _counts(filters: list[str], dialect: Dialect, source: Fragment) -> Fragment:
    parts = [filter_sql(parse_filter(text), dialect=dialect) for text in filters]
    columns = ", ".join(dialect.count_if(text) for text, _ in parts)
    return f"SELECT {columns} FROM {source[0]}", [value for _, values in parts for value in values]


@pytest.mark.parametrize(
    ("key", "kind"),
    [
        *((key, "usual") for key in KEYS),
        ("service", "extreme"),
        ("", "extreme"),
        ("", "empty"),
        ("app", "empty"),
    ],
)
def test_table__is_the_same_for_every_key(kept: dict[str, Both], key: str, kind: str) -> None:
    for number, where in enumerate(FILTERS):
        measures = parse_measures(",".join(MEASURES[number::2]))
        sort = Sort(measures[number % len(measures)].name, ascending=bool(number % 2))
        keys = parse_keys(key, 10**9)
        same(
            kept[kind], Grouped(measures, keys, parse_filter(where), sort=sort, top=(None, 3, 1)[number % 3])
        )


@pytest.mark.parametrize("kind", KINDS)
def test_measures__of_every_number_are_the_same(kept: dict[str, Both], kind: str) -> None:
    ordered = (Kind.number, Kind.size, Kind.duration, Kind.time, Kind.real)
    names = {(m.shape, m.columns): m.name for m in METRICS.values() if m.kind in ordered}.values()
    functions = ("min", "max", "avg", "p1", "p50", "p99.9", "distinct")
    texts = [f"{functions[number % 7]}({name})" for number, name in enumerate(list(names) * 3)]
    for first in range(0, len(texts), 40):
        measures = parse_measures(",".join(texts[first : first + 40]))
        same(kept[kind], Grouped(measures, parse_keys("port"), top=2))
    measures = parse_measures(
        ",".join(f"{one}({name})" for name in ("ct", "end", "bytes") for one in functions)
    )
    same(kept[kind], Grouped(measures))


@pytest.mark.parametrize(
    ("metrics", "by", "where", "having", "more"),
    [
        ("sessions", "service", "", "sessions > 20", {"top": 5}),
        ("syn/connection,sessions", "server", "rst > 0", "syn/connection > 1.2 and sessions > 3", {}),
        ("refused_share", "client", "", "refused_share > 0.1", {"top": 3, "sort": "-sessions"}),
        ("rst.clt,rst.srv", "app", "", "", {"every_ns": 10**9, "top": 4}),
        ("sessions", "cause", "history ~ S* or app = \"with space\"", "sessions > 1000000", {}),
        ("p99(ct)", "client.zone,server.zone", "client.zone is null", "", {"sort": "client.zone"}),
        ("bytes/connection", "", "server.ip in 10.0.0.0/8", "", {}),
        ("share(fin = 0)", "time", "", "", {"every_ns": 7 * 10**9, "sort": "time"}),
        ("example(rst > 0)", "cause,harm", "not (rst > 2 or fin > 2)", "", {"top": 1}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["usual", "empty"])
def test_question__as_people_write_it_is_answered_the_same(
    kept: dict[str, Both], metrics: str, by: str, where: str, having: str, more: dict[str, Any], kind: str
) -> None:
    same(kept[kind], parse_question(metrics, by, where, having, **more))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "key"), [("half_closed", ""), ("bytes", "cause"), ("ct", "client.zone")])
def test_histogram__has_the_same_counts(kept: dict[str, Both], name: str, key: str, kind: str) -> None:
    keys = parse_keys(key) if key else (None,)
    question = Histogram(METRICS[name], (0, *log_edges()), parse_filter("rst > 0"), keys[0], strays=True)
    ours = kept[kind].folders.histogram(question)
    theirs = kept[kind].database.histogram(question)
    assert sorted(theirs, key=str) == sorted(ours, key=str)


@pytest.mark.parametrize("kind", KINDS)
def test_rows__come_back_with_every_field_as_they_were(kept: dict[str, Both], kind: str) -> None:
    ours = _by_id(kept[kind].folders.scan())
    theirs = _by_id(kept[kind].database.scan())
    assert theirs == ours


def _by_id(batches: Iterator[Any]) -> list[dict[str, Any]]:
    found = [row for batch in batches for row in batch.to_pylist()]
    return sorted(found, key=lambda row: (row["session_id"], row["start_ns"], repr(row)))


@pytest.mark.parametrize(
    "name", ["start", "-half_closed", "bytes", "-duration", "app", "-server.ip", "ending"]
)
@pytest.mark.parametrize("kind", ["usual", "extreme"])
def test_rows__are_sorted_and_cut_the_same(kept: dict[str, Both], name: str, kind: str) -> None:
    order, where = Order.parse(name), parse_filter("rst > 0 or opening = stray")
    column = METRICS[order.metric].columns
    ours = [r for batch in kept[kind].folders.scan(where, column, order, 50) for r in batch.to_pylist()]
    theirs = [r for batch in kept[kind].database.scan(where, column, order, 50) for r in batch.to_pylist()]
    assert [_value(row, order) for row in theirs] == [_value(row, order) for row in ours]
    assert len(ours) == 50


def _value(row: dict[str, Any], order: Order) -> Any:
    """Return what rows are sorted by; beside that, which of several comes first is nobody's promise."""
    first, *second = row.values()
    if order.metric == "duration":
        return max(-(2**63), min(second[0] - first, 2**63 - 1))
    return sum(row.values()) if second else first


def test_zones_and_applications__given_with_the_question_are_the_same(kept: dict[str, Both]) -> None:
    block = Block(*parse_network("10.0.0.0/23"), "10.0.0.0/23")
    classes = Classes(
        (Zone("inside", (block,)), Zone("tagged?", (), ((1, 2),)), Zone("else'where")),
        (Application("low", ((0, 2),)), Application("in", ((3, 9),), ("inside",))),
    )
    folders = Folders([one.classified(classes) for one in kept["usual"].folders.datasets])
    database = kept["usual"].database.classified(classes)
    question = parse_question("sessions,distinct(client.ip)", "client.zone,server.zone,app", "app != low")
    answer = said(database.grouped(question))
    assert answer == said(folders.grouped(question))
    assert {row[0][0] for row in answer[0] if row[0]} == {"inside", "tagged?", "else'where"}
    assert _by_id(database.scan(parse_filter("client.zone = inside"))) == _by_id(
        folders.scan(parse_filter("client.zone = inside"))
    )


def test_zones__may_have_thousands_of_networks(kept: dict[str, Both]) -> None:
    texts = [f"10.{high}.{low}.0/24" for high in range(8) for low in range(256)]
    classes = Classes((Zone("many", tuple(Block(*parse_network(text), text) for text in texts)),))
    folders = Folders([one.classified(classes) for one in kept["usual"].folders.datasets])
    question = parse_question("sessions", "client.zone")
    assert said(kept["usual"].database.classified(classes).grouped(question)) == said(
        folders.grouped(question)
    )


@pytest.mark.parametrize("kind", KINDS)
def test_ports_in_use__are_the_same(kept: dict[str, Both], kind: str) -> None:
    assert kept[kind].database.used_ports().tolist() == kept[kind].folders.used_ports().tolist()


def test_temporary_tables__are_gone_after_a_question(kept: dict[str, Both]) -> None:
    database = kept["usual"].database
    database.grouped(parse_question("sessions", "cause"))
    with database.server.session() as session:
        assert session.rows(("SELECT count() FROM system.tables WHERE is_temporary", [])) == [(0,)]
