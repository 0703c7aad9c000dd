"""Each exporter is read back with somebody else's reader."""

from __future__ import annotations

import csv
import io
import ipaddress
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.unit.query.rows import random_rows, rows

from lastack.app.registries import EXPORTERS
from lastack.export.text import address_text, seconds_text, uid_number, uid_text
from lastack.model.address import format_address
from lastack.model.arrow import session_schema
from lastack.model.errors import UsageError
from lastack.model.fields import BY_NAME, FIELDS

COLUMNS = tuple(field.name for field in FIELDS)


def exported(form: str, folder: Path, *batches: Any, columns: tuple[str, ...] = COLUMNS) -> Path:
    path = folder / f"out.{form}"
    exporter = EXPORTERS[form].load()(str(path), columns)
    for batch in batches:
        exporter.write(batch)
    exporter.close()
    return path


def expected(name: str, value: Any) -> Any:
    return format_address(value) if BY_NAME[name].type == "address" else value


# --- CSV --------------------------------------------------------------------------------------------------


def test_csv__round_trip_of_every_field(tmp_path: Path) -> None:
    batch = random_rows(300, 5, extreme=True)
    path = exported("csv", tmp_path, batch)
    with path.open(newline="", encoding="utf-8") as stream:
        found = list(csv.DictReader(stream))
    for row, original in zip(found, batch.to_pylist(), strict=True):
        for name, value in original.items():
            value = expected(name, value)
            if BY_NAME[name].type == "list":
                assert json.loads(row[name]) == value
            elif isinstance(value, float):
                assert float(row[name]) == pytest.approx(value)
            else:
                assert row[name] == ("" if value is None else str(value)), name


def test_csv__header_is_the_field_names(tmp_path: Path) -> None:
    path = exported("csv", tmp_path, columns=("client_ip", "ct_ns"))
    assert path.read_text() == "client_ip,ct_ns\n"


def test_csv__null_is_empty_and_zero_is_zero(tmp_path: Path) -> None:
    path = exported("csv", tmp_path, rows({"ct_ns": None}, {"ct_ns": 0}), columns=("ct_ns", "client_port"))
    assert path.read_text().splitlines()[1:] == [",40000", "0,40000"]


def test_csv__plain_texts_have_no_quotes(tmp_path: Path) -> None:
    assert (
        '"' not in exported("csv", tmp_path, rows({}), columns=("sensor", "client_ip", "ending")).read_text()
    )


# --- JSON Lines -------------------------------------------------------------------------------------------


def test_jsonl__round_trip_of_every_field(tmp_path: Path) -> None:
    batch = random_rows(300, 6, extreme=True)
    path = exported("jsonl", tmp_path, batch)
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for row, original in zip(found, batch.to_pylist(), strict=True):
        assert list(row) == list(COLUMNS)
        for name, value in original.items():
            if isinstance(value, float):
                assert row[name] == pytest.approx(value)
            else:
                assert row[name] == expected(name, value), name


def test_jsonl__slice_of_a_batch_is_only_the_slice(tmp_path: Path) -> None:
    batch = random_rows(50, 7).slice(20, 10)
    path = exported("jsonl", tmp_path, batch)
    found = [json.loads(line)["session_id"] for line in path.read_text(encoding="utf-8").splitlines()]
    assert found == batch.column("session_id").to_pylist()


# --- Parquet ----------------------------------------------------------------------------------------------


def test_parquet__round_trip_of_every_field(tmp_path: Path) -> None:
    batch = random_rows(300, 8, extreme=True)
    table = pq.read_table(exported("parquet", tmp_path, batch, batch))
    assert table.schema == session_schema()
    assert table.to_pylist() == batch.to_pylist() * 2


# --- Zeek -------------------------------------------------------------------------------------------------


def zeek(path: Path) -> list[dict[str, str]]:
    """Read a log as zeek-cut does: the header says what the columns are."""
    lines = path.read_text(encoding="utf-8").splitlines()
    names = next(line for line in lines if line.startswith("#fields")).split("\t")[1:]
    return [dict(zip(names, line.split("\t"), strict=True)) for line in lines if not line.startswith("#")]


def test_zeek__header_comes_before_rows_and_close_after(tmp_path: Path) -> None:
    lines = exported("zeek", tmp_path, rows({})).read_text().splitlines()
    assert [line.split("\t")[0].split(" ")[0] for line in lines if line.startswith("#")] == [
        "#separator",
        "#set_separator",
        "#empty_field",
        "#unset_field",
        "#path",
        "#open",
        "#fields",
        "#types",
        "#close",
    ]


def test_zeek__fields_and_types_are_as_many(tmp_path: Path) -> None:
    lines = exported("zeek", tmp_path, rows({})).read_text().splitlines()
    fields, types = (
        next(x for x in lines if x.startswith(mark)).split("\t") for mark in ("#fields", "#types")
    )
    assert len(fields) == len(types) == 22


def test_zeek__row(tmp_path: Path) -> None:
    row = zeek(exported("zeek", tmp_path, rows({"bytes_srv": 7, "app": "web"})))[0]
    assert row["ts"] == "1700000000.000000"
    assert row["duration"] == "1.500000"
    assert (row["id.orig_h"], row["id.resp_p"], row["proto"]) == ("10.0.0.1", "443", "tcp")
    assert (row["conn_state"], row["history"], row["service"]) == ("SF", "ShADadFf", "web")
    assert (row["resp_bytes"], row["orig_ip_bytes"], row["tunnel_parents"]) == ("7", "-", "(empty)")


def test_zeek__unset_is_a_dash(tmp_path: Path) -> None:
    single = {"packets_clt": 1, "packets_srv": 0, "history": "", "observed": "lossy"}
    row = zeek(exported("zeek", tmp_path, rows(single)))[0]
    assert (row["duration"], row["history"], row["service"], row["missed_bytes"]) == ("-", "-", "-", "-")


def test_zeek__no_rows_is_a_log_all_the_same(tmp_path: Path) -> None:
    assert zeek(exported("zeek", tmp_path)) == []


def test_uid__is_unique_and_leads_back() -> None:
    ids = [0, 1, 61, 62, 2**63 - 1, 2**64 - 1]
    texts = uid_text(pa.array(ids, pa.uint64())).to_pylist()
    assert [uid_number(text) for text in texts] == ids
    assert {len(text) for text in texts} == {12}


# --- all of them ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", list(EXPORTERS))
def test_exporter__empty_batch_and_no_batch(form: str, tmp_path: Path) -> None:
    columns = EXPORTERS[form].load().default_columns if form == "table" else COLUMNS
    with_empty = exported(form, tmp_path, rows({}).slice(0, 0), columns=columns).read_bytes()
    assert with_empty == exported(form, tmp_path, columns=columns).read_bytes()


@pytest.mark.parametrize("form", list(EXPORTERS))
def test_exporter__file_appears_only_when_whole(form: str, tmp_path: Path) -> None:
    path = tmp_path / "out"
    columns = EXPORTERS[form].load().default_columns if form == "table" else COLUMNS
    exporter = EXPORTERS[form].load()(str(path), columns)
    exporter.write(random_rows(10))
    assert not path.exists()
    exporter.close()
    assert path.exists()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("form", list(EXPORTERS))
def test_exporter__discarded_leaves_nothing(form: str, tmp_path: Path) -> None:
    columns = EXPORTERS[form].load().default_columns if form == "table" else COLUMNS
    exporter = EXPORTERS[form].load()(str(tmp_path / "out"), columns)
    exporter.write(random_rows(10))
    exporter.discard()
    assert list(tmp_path.iterdir()) == []


def test_target__missing_folder_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="does not exist; create it first"):
        EXPORTERS["csv"].load()(str(tmp_path / "no" / "out.csv"), COLUMNS)


def test_target__folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        EXPORTERS["csv"].load()(str(tmp_path), COLUMNS)


# --- texts ------------------------------------------------------------------------------------------------


def test_address_text__equals_the_standard_library() -> None:
    packed = [
        ipaddress.ip_address(text)
        for text in (
            "0.0.0.0",
            "255.255.255.255",
            "10.0.0.1",
            "::",
            "::1",
            "2001:db8::1:0:0:1",
            "fe80::1",
            "::ffff:0:1",
        )
    ]
    array = pa.array(
        [a.packed if a.version == 6 else bytes(10) + b"\xff\xff" + a.packed for a in packed], pa.binary(16)
    )
    for start in (0, 3):
        assert address_text(array.slice(start)).to_pylist() == [
            format_address(x.as_py()) for x in array.slice(start)
        ]


def test_seconds_text__negative_small_and_null() -> None:
    values = pa.array([0, 1, -1, -1_500_000_000, 999, 1_700_000_000_123_456_789, None, -(2**63)], pa.int64())
    assert seconds_text(values, 9).to_pylist() == [
        "0.000000000",
        "0.000000001",
        "-0.000000001",
        "-1.500000000",
        "0.000000999",
        "1700000000.123456789",
        None,
        "-9223372036.854775808",
    ]


def test_csv__is_what_the_csv_module_writes(tmp_path: Path) -> None:
    path = exported("csv", tmp_path, rows({"sensor": 'a "b", c\nd'}), columns=("sensor", "client_port"))
    wanted = io.StringIO()
    csv.writer(wanted, lineterminator="\n").writerows([["sensor", "client_port"], ['a "b", c\nd', 40000]])
    assert path.read_text() == wanted.getvalue()
