"""A dataset in an S3 store: written, asked, added to and replaced like a folder; the manifest comes last."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from tests.unit.store.s3_server import Store, needs_s3, store

import lastack
from lastack.app import cluster_choice
from lastack.app.jobs import InProcess
from lastack.cli.main import cli
from lastack.model.errors import InputError, UsageError
from lastack.store.dataset import Dataset
from lastack.store.manifest import NAME, Run, read_manifest
from lastack.store.s3 import S3Folder
from lastack.store.writer import DatasetWriter

__all__ = ["store"]
pytestmark = needs_s3
SAMPLE = str(Path(__file__).parents[3] / "samples" / "closes.pcapng")


def done(*words: str) -> Any:
    result = CliRunner().invoke(cli, [*words, "--quiet"] if words[0] == "analyze" else list(words))
    assert result.exit_code == 0, result.output + str(result.exception)
    return result


@pytest.fixture(scope="module")
def kept(store: Store) -> str:
    """Return the URL of a dataset that was made from a capture in the store, with everything in the store."""
    bucket = store.bucket()
    capture = store.url(f"{bucket}/day/closes.pcapng")
    S3Folder(capture).write_bytes(Path(SAMPLE).read_bytes())
    url = store.url(f"{bucket}/kept")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster_choice, "ProcessPool", lambda workers: InProcess())
        done("analyze", capture, "-o", url)
    assert {name.partition("/")[0] for name in S3Folder(store.url(bucket)).sizes()} == {"day", "kept"}
    return url


def test_s3__questions_get_the_answers_of_a_folder(kept: str, tmp_path: Path) -> None:
    folder = str(tmp_path / "folder")
    done("analyze", SAMPLE, "-o", folder)
    for words in (
        ("top", "servers", "--format", "json"),
        (
            "sessions",
            "--format",
            "csv",
            "--columns",
            "start_ns,client_ip,client_port,history",
            "--sort",
            "-duration",
        ),
        ("sessions", "-f", "rst.count > 0", "--format", "csv", "--columns", "start_ns,history"),
    ):
        assert done(*words, kept).stdout == done(*words, folder).stdout
    here, there = (json.loads(done("analyze", name, "--format", "json").stdout) for name in (folder, kept))
    assert {**here, "run": 0} == {**there, "run": 0}
    names = ("captures", "problems")
    assert {**here["run"], **dict.fromkeys(names)} == {**there["run"], **dict.fromkeys(names)}


def test_s3__a_dataset_is_refused_added_to_and_replaced_like_a_folder(store: Store) -> None:
    url = store.url(f"{store.bucket()}/kept")
    table = lastack.track(SAMPLE).table
    with DatasetWriter(url) as writer:
        writer.write(table.to_batches()[0])
        writer.finish(Run())
    with pytest.raises(UsageError, match="is a dataset; --overwrite replaces it"):
        DatasetWriter(url)
    with DatasetWriter(url, "append") as writer:
        writer.write(table.to_batches()[0])
        writer.finish(Run())
    assert Dataset.open(url).rows == 2 * table.num_rows
    before = {segment.file for segment in read_manifest(S3Folder(url)).segments}
    with DatasetWriter(url, "overwrite") as writer:
        writer.write(table.to_batches()[0])
        assert Dataset.open(url).rows == 2 * table.num_rows, (
            "readers see the old one until the new one is whole"
        )
        writer.finish(Run())
    assert Dataset.open(url).rows == table.num_rows
    assert not before & set(S3Folder(url).sizes())


def test_s3__a_run_that_stops_leaves_what_its_manifest_says(store: Store) -> None:
    url = store.url(f"{store.bucket()}/kept")
    batch = lastack.track(SAMPLE).table.to_batches()[0]
    with DatasetWriter(url, segment_rows=1) as writer:
        writer.write(batch)
    assert Dataset.open(url, partial=True).rows == batch.num_rows
    with pytest.raises(InputError, match="not complete"):
        Dataset.open(url)
    other = store.url(f"{store.bucket()}/kept")
    with DatasetWriter(other):
        pass
    assert not S3Folder(other).sizes(), "a dataset that never got a row is taken back"


def test_s3__what_is_missing_is_told(store: Store) -> None:
    bucket = store.bucket()
    url = S3Folder(store.url(f"{bucket}/kept"))
    with pytest.raises(InputError, match="not a dataset"):
        Dataset.open(url)
    (url / "x").write_bytes(b"mine")
    with pytest.raises(UsageError, match="other things in it"):
        DatasetWriter(url)
    with pytest.raises(UsageError, match="'key' is no option of an S3 URL"):
        S3Folder("s3://bucket/x?key=1")
    (url / "x").remove()
    with DatasetWriter(url) as writer:
        writer.write(lastack.track(SAMPLE).table.to_batches()[0])
        writer.finish(Run())
    (url / read_manifest(url).segments[0].file).remove()
    with pytest.raises(InputError, match="is missing"):
        Dataset.open(url)
    assert (url / NAME).is_file()


def test_s3__a_capture_there_is_left_to_analyze(store: Store) -> None:
    result = CliRunner().invoke(cli, ["sessions", store.url(f"{store.bucket()}/x.pcap")])
    assert "is read by analyze: lastack analyze" in str(result.exception)


def test_s3__a_missing_package_is_told_with_the_remedy(kept: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(UsageError, match=r"pip install 'lastack\[s3\]'"):
        list(Dataset.open(kept).scan())


def test_s3__serve_says_what_it_takes_instead(store: Store) -> None:
    result = CliRunner().invoke(cli, ["serve", store.url("bucket/kept")])
    assert result.exit_code == 2
    assert "copy the dataset to a folder, or push it to a database" in result.stderr
