from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from tests.unit.query.rows import random_rows, rows

from lastack.model.arrow import session_schema
from lastack.model.errors import InputError, UsageError
from lastack.query.parse import parse_filter
from lastack.store.dataset import Dataset, Order
from lastack.store.manifest import Run
from lastack.store.writer import DatasetWriter

RUN = Run(
    captures=("a.pcap",), first_ns=1, last_ns=9, sessions=3, packets=10, segments=8, drops={"not_ip": 2}
)


def write(path: Path, *batches: object, mode: str = "new", **options: int) -> None:
    writer = DatasetWriter(path, mode, **options)  # type: ignore[arg-type]
    for batch in batches:
        writer.write(batch)
    writer.finish(RUN)


def test_round_trip__every_value_and_type(tmp_path: Path) -> None:
    batch = random_rows(500, 3, extreme=True)
    write(tmp_path / "d", batch)
    table = pa.Table.from_batches(Dataset.open(tmp_path / "d").scan())
    assert table.to_pylist() == pa.Table.from_batches([batch]).to_pylist()
    assert table.schema == session_schema()


def test_segments__roll_at_the_row_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lastack.store.writer.ROW_GROUP", 50)
    write(tmp_path / "d", *[random_rows(50, n) for n in range(5)], segment_rows=100)
    assert [s.rows for s in Dataset.open(tmp_path / "d").manifest.segments] == [100, 100, 50]


def test_scan__filter_columns_order_limit(tmp_path: Path) -> None:
    given = [{"packets_clt": n, "server_port": 80 + n % 2} for n in (3, 1, 2, 9)]
    write(tmp_path / "d", rows(*given))
    found = Dataset.open(tmp_path / "d").scan(
        parse_filter("server.port = 81"), ["packets_clt"], Order.parse("-packets_clt"), 2
    )
    assert pa.Table.from_batches(found).to_pylist() == [{"packets_clt": 9}, {"packets_clt": 3}]


def test_scan__keeps_the_order_of_writing(tmp_path: Path) -> None:
    write(tmp_path / "d", *[rows({"session_id": n}) for n in (5, 2, 9, 1)])
    found = Dataset.open(tmp_path / "d").scan(None, ["session_id"])
    assert pa.Table.from_batches(found)["session_id"].to_pylist() == [5, 2, 9, 1]


def test_summary__ledger_survives(tmp_path: Path) -> None:
    write(tmp_path / "d", rows({}))
    assert Dataset.open(tmp_path / "d").summary == Run(
        **{f: getattr(RUN, f) for f in Run.__dataclass_fields__}
    )


def test_folder__has_only_segments_and_manifest(tmp_path: Path) -> None:
    write(tmp_path / "d", rows({}))
    names = sorted(p.name for p in (tmp_path / "d").iterdir())
    assert names[0] == "manifest.json"
    assert names[1].endswith("-000000.parquet")
    assert len(names) == 2


def test_new__refuses_a_dataset(tmp_path: Path) -> None:
    write(tmp_path / "d", rows({}))
    with pytest.raises(UsageError, match="--overwrite replaces it, --append adds"):
        DatasetWriter(tmp_path / "d")


@pytest.mark.parametrize("mode", ["new", "overwrite", "append"])
def test_every_mode__refuses_a_folder_of_other_things(tmp_path: Path, mode: str) -> None:
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(UsageError, match="other things"):
        DatasetWriter(tmp_path, mode)  # type: ignore[arg-type]


def test_overwrite__replaces_all_rows(tmp_path: Path) -> None:
    write(tmp_path / "d", rows({}, {}))
    write(tmp_path / "d", rows({}), mode="overwrite")
    assert Dataset.open(tmp_path / "d").rows == 1
    assert len(list((tmp_path / "d").glob("*.parquet"))) == 1


def test_overwrite__old_rows_stay_until_the_end(tmp_path: Path) -> None:
    write(tmp_path / "d", rows({}, {}))
    writer = DatasetWriter(tmp_path / "d", "overwrite")
    writer.write(rows({}))
    assert Dataset.open(tmp_path / "d").rows == 2
    writer.abandon()
    assert Dataset.open(tmp_path / "d").rows == 2
    assert len(list((tmp_path / "d").iterdir())) == 2


def test_append__adds_rows_and_runs(tmp_path: Path) -> None:
    write(tmp_path / "d", rows({}, {}))
    write(tmp_path / "d", rows({}), mode="append")
    dataset = Dataset.open(tmp_path / "d")
    assert (dataset.rows, dataset.summary.packets) == (3, 20)


def fail_while_writing(path: Path) -> None:
    with DatasetWriter(path) as writer:
        writer.write(rows({}))
        raise RuntimeError


def test_failed_run__is_partial_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        fail_while_writing(tmp_path / "d")
    with pytest.raises(InputError, match="not complete: the run that wrote it stopped early; it has 1 sess"):
        Dataset.open(tmp_path / "d")
    assert Dataset.open(tmp_path / "d", partial=True).rows == 1


def test_failed_run__without_rows_leaves_nothing(tmp_path: Path) -> None:
    DatasetWriter(tmp_path / "d").abandon()
    assert not (tmp_path / "d").exists()


def test_killed_run__reads_as_growing(tmp_path: Path) -> None:
    DatasetWriter(tmp_path / "d").write(rows({}))
    with pytest.raises(InputError, match="still writing it, or was killed"):
        Dataset.open(tmp_path / "d")


def test_empty__has_no_rows_and_is_whole(tmp_path: Path) -> None:
    write(tmp_path / "d")
    assert list(Dataset.open(tmp_path / "d").scan()) == []


def test_open__not_a_dataset(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a dataset"):
        Dataset.open(tmp_path)


def test_open__newer_schema(tmp_path: Path) -> None:
    write(tmp_path / "d", rows({}))
    manifest = tmp_path / "d" / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "schema_version": 99}))
    with pytest.raises(InputError, match="schema version 99 is newer"):
        Dataset.open(tmp_path / "d")


def test_open__missing_segment(tmp_path: Path) -> None:
    write(tmp_path / "d", rows({}))
    next((tmp_path / "d").glob("*.parquet")).unlink()
    with pytest.raises(InputError, match="is missing"):
        Dataset.open(tmp_path / "d")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "lastack-dataset"}', "\x00"])
def test_open__damaged_manifest(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(InputError):
        Dataset.open(tmp_path)


def test_open__segment_outside_the_folder_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "d", rows({}))
    manifest = tmp_path / "d" / "manifest.json"
    content = json.loads(manifest.read_text())
    content["segments"][0]["file"] = "../secret.parquet"
    manifest.write_text(json.dumps(content))
    with pytest.raises(InputError, match="not in the folder"):
        Dataset.open(tmp_path / "d")


def test_order__wrong_name_has_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean duration"):
        Order.parse("-duratoin")
