"""A failed attempt is tied to the session in its way, however rows are cut into batches."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from tests.unit.diagnosis.rows import batch_of_table, table_of

from lastack.diagnosis.engine import diagnose
from lastack.diagnosis.links import Links


def causes(batches: list[Any]) -> list[str]:
    links = Links()
    return [cause for batch in batches for cause in links.resolve(batch).column("cause").to_pylist()]


@pytest.fixture(scope="module")
def rows() -> Any:
    return diagnose(batch_of_table(table_of("port_reuse_conflict__fires.pkts")))


def test_links__without_the_earlier_row_it_is_unanswered(rows: Any) -> None:
    assert causes([rows.slice(1)]) == ["unanswered"]


def test_links__do_not_depend_on_batches(rows: Any) -> None:
    assert causes([rows]) == ["clean_close", "port_reuse_conflict"]
    assert causes([rows.slice(0, 1), rows.slice(1)]) == ["clean_close", "port_reuse_conflict"]


def test_links__what_leaves_later_is_not_known_to_an_earlier_row(rows: Any) -> None:
    turned = pa.Table.from_batches([rows.slice(1), rows.slice(0, 1)]).combine_chunks().to_batches()[0]
    for sizes, cause in (([1, 1], "unanswered"), ([2], "port_reuse_conflict")):
        assert Links().resolve(turned, sizes).column("cause").to_pylist()[0] == cause
    told = Links().resolve(rows, [1, 1]).column("cause").to_pylist()
    assert told == ["clean_close", "port_reuse_conflict"]


def test_links__need_a_challenge(rows: Any) -> None:
    other = diagnose(batch_of_table(table_of("port_reuse_conflict__near_miss.pkts")))
    assert causes([other]) == ["clean_close", "unanswered"]


def test_links__leave_rows_without_an_earlier_session_alone(rows: Any) -> None:
    plain = diagnose(batch_of_table(table_of("syn_dropped.pcap")))
    assert causes([rows.slice(0, 1), plain]) == ["clean_close", "unanswered"]
    assert isinstance(plain, pa.RecordBatch)
