"""The engine: plain rows keep the simple verdict, the rules agree with it, and nothing else of a row changes."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pyarrow as pa
import pytest
from tests.unit.diagnosis.rows import batch_of_table, everything, table_of

from lastack.diagnosis.around import Around, around_rows
from lastack.diagnosis.arrays import codes_of
from lastack.diagnosis.columns import Columns
from lastack.diagnosis.crowd import CROWD, Crowd
from lastack.diagnosis.engine import _HALF_OPEN, _UNSEEN, _is_half_open, _is_unseen, _odd, diagnose, judge
from lastack.diagnosis.translate import translate
from lastack.model.enums import Actor, Cause, Harm

VERDICT = {"cause", "cause_confidence", "actor", "harm"}


def test_rules__say_of_plain_rows_what_the_simple_verdict_says() -> None:
    batch = everything()
    plain = np.flatnonzero(~_odd(batch, None))
    assert len(plain) > 20
    said = judge(batch, plain)
    for name, vocabulary, values in (
        ("cause", Cause, said.cause),
        ("actor", Actor, said.actor),
        ("harm", Harm, said.harm),
    ):
        assert (codes_of(batch.column(name), vocabulary)[plain] == values).all(), name
    confidence = batch.column("cause_confidence").to_numpy()[plain]
    assert np.allclose(confidence, said.percent / 100)


def test_rules__say_of_one_end_of_an_open_session_what_the_engine_takes_for_granted() -> None:
    batch = everything()
    one_way = pa.array(["one_way"] * batch.num_rows).cast(batch.schema.field("observed").type)
    batch = batch.set_column(batch.schema.get_field_index("observed"), "observed", one_way)
    rows = np.flatnonzero(_is_unseen(batch))
    assert len(rows) > 2
    said = judge(batch, rows)
    for name in ("cause", "actor", "harm", "percent"):
        assert (getattr(said, name) == getattr(_UNSEEN, name)).all(), name


@pytest.mark.parametrize("crowded", [False, True])
def test_rules__few_say_of_half_open_attempts_what_all_say(crowded: bool) -> None:
    batch = diagnose(batch_of_table(table_of("syn_flood.pcap")))
    rows = np.flatnonzero(_is_half_open(batch))
    assert len(rows) > 5
    around = Around(cast(Crowd, _Everywhere()) if crowded else None, both_ways=False)
    few, every = judge(batch, rows, around, rules=_HALF_OPEN), judge(batch, rows, around)
    for name in ("cause", "actor", "harm", "percent"):
        assert (getattr(few, name) == getattr(every, name)).all(), name


@pytest.mark.parametrize("sizes", [[25, 15], [1, 39], [10, 10, 10, 10], [40]])
def test_around_rows__of_groups_is_that_of_each(sizes: list[int]) -> None:
    batch = batch_of_table(table_of("syn_flood.pcap"))
    assert batch.num_rows == sum(sizes)
    together = diagnose(batch, around_rows(batch, sizes))
    first = 0
    for size in sizes:
        part = batch.slice(first, size)
        alone = diagnose(part, around_rows(part)).column("cause").to_pylist()
        assert together.column("cause").to_pylist()[first : first + size] == alone
        assert ("syn_flood" in alone) == (size >= CROWD)
        first += size


class _Everywhere:
    """A crowd that is everywhere."""

    def holds_rows(self, cols: Columns) -> Any:
        """Say yes."""
        return np.ones(cols.n, bool)


def test_diagnose__is_the_same_again() -> None:
    batch = everything()
    once = diagnose(batch)
    assert diagnose(once).equals(once)


def test_diagnose__changes_nothing_but_the_verdict_and_translations() -> None:
    batch = everything()
    changed = {
        name
        for name, a, b in zip(batch.schema.names, batch.columns, diagnose(batch).columns, strict=True)
        if not a.equals(b)
    }
    assert changed <= VERDICT | set(translate(batch))


def test_diagnose__does_not_depend_on_how_rows_are_cut_into_batches() -> None:
    whole = diagnose(everything())
    parts = [diagnose(everything().slice(start, 7)) for start in range(0, everything().num_rows, 7)]
    joined = pa.Table.from_batches(parts)
    for name in VERDICT:
        assert joined.column(name).to_pylist() == whole.column(name).to_pylist(), name


def test_diagnose__of_no_rows_is_no_rows() -> None:
    assert diagnose(everything().slice(0, 0)).num_rows == 0


def test_diagnose__works_without_evidence_columns() -> None:
    batch = everything()
    names = [name for name in batch.schema.names if name not in ("evidence", "gaps", "marks", "retries")]
    said = diagnose(batch.select(names))
    assert said.num_rows == batch.num_rows
    assert "middlebox_idle_timeout" not in said.column("cause").to_pylist()


def test_flood__is_told_from_the_whole_run_only() -> None:
    flood = batch_of_table(table_of("syn_flood.pcap"))
    assert set(flood.column("cause").to_pylist()) == {"syn_flood"}
    alone = diagnose(flood)
    assert set(alone.column("cause").to_pylist()) == {"half_open_client_gone"}
