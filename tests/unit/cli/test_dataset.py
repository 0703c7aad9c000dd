"""`lastack dataset` and `clickhouse://` on the command line: what people type, and what they are told."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.doubles.clickhouse import Double, why_not
from tests.unit.store.s3_server import Store, needs_s3, store

from lastack.app.options import TrackOptions
from lastack.app.overview import Keep, survey_inputs
from lastack.cli.main import run
from lastack.model.fields import FIELDS
from lastack.store.s3 import S3Folder

__all__ = ["store"]
SAMPLE = str(Path(__file__).parents[3] / "samples" / "closes.pcapng")
SESSIONS = 218
needs_engine = pytest.mark.skipif(bool(why_not()), reason=why_not())


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("cli") / "closes"
    survey_inputs([SAMPLE], keep=Keep(path), options=TrackOptions(threads=1))
    return str(path)


@pytest.fixture(scope="module")
def double(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Double]:
    found = Double(tmp_path_factory.mktemp("cli") / "engine")
    found.start()
    yield found
    found.kill()


def out(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert run(list(arguments)) == code, capsys.readouterr().err
    return capsys.readouterr().out


def err(capsys: pytest.CaptureFixture[str], *arguments: str, code: int) -> str:
    assert run(list(arguments)) == code
    return capsys.readouterr().err


def test_schema__is_sql_with_every_field(capsys: pytest.CaptureFixture[str]) -> None:
    text = out(capsys, "dataset", "schema", "clickhouse", "--keep", "90d")
    for field in FIELDS:
        assert f"    {field.name} " in text
    assert text.count("INTERVAL 90 DAY") == 2
    assert "\nTTL" not in out(capsys, "dataset", "schema", "clickhouse")
    assert "days" in err(capsys, "dataset", "schema", "clickhouse", "--keep", "3h", code=2)


def test_names__that_are_no_database_are_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], kept: str
) -> None:
    for name, said in (
        ("flows", "is no database"),
        ("clickhouse://host", "names no database"),
        ("clickhouse:///flows", "names no host"),
        ("clickhouse://host/flows?secure=maybe", "is 0 or 1"),
        ("clickhouse://host/flows?timeout=0", "number of seconds"),
        ("clickhouse://host/flows?compress=1", "no option is called 'compress'"),
    ):
        assert said in err(capsys, "dataset", "push", kept, name, code=2), name


@needs_engine
def test_push__tells_what_it_brought_and_the_schema_by_hand_will_do(
    capsys: pytest.CaptureFixture[str], kept: str, double: Double
) -> None:
    url = double.url("told")
    assert f"{SESSIONS} sessions brought to {url}" in out(capsys, "dataset", "push", kept, url)
    told = json.loads(out(capsys, "dataset", "push", kept, url, "--format", "json"))
    assert (told["inserted"], told["known"], told["there"]) == (0, SESSIONS, 1)
    assert "were there already" in out(capsys, "dataset", "push", kept, url)


@needs_engine
@pytest.mark.parametrize(
    "words",
    [
        ("sessions", "@", "--sort", "start", "--format", "csv"),
        ("sessions", "@"),
        ("top", "servers", "@", "--by", "rst.srv"),
        ("table", "p50(ct),sessions", "@", "--by", "app,cause"),
        ("graph", "sessions,rst", "@", "--every", "1s", "--format", "csv"),
        ("whatif", "@", "--profile", "panos", "--set", "half_closed=1s"),
        ("show", "198.51.100.21:33000-192.0.2.10:443", "-i", "@"),
    ],
    ids=lambda words: words[0],
)
def test_commands__print_the_same_of_a_database_as_of_a_folder(
    capsys: pytest.CaptureFixture[str], kept: str, double: Double, words: tuple[str, ...]
) -> None:
    url = double.url("commands")
    out(capsys, "dataset", "push", kept, url)
    ours, theirs = (out(capsys, *(place if word == "@" else word for word in words)) for place in (kept, url))
    assert theirs == ours
    assert len(ours.splitlines()) > 2


@needs_engine
def test_commands__say_what_is_wrong_with_a_database(
    capsys: pytest.CaptureFixture[str], kept: str, double: Double
) -> None:
    assert "dataset push" in err(capsys, "sessions", double.url("nothing"), code=3)
    assert "no ClickHouse answers" in err(capsys, "sessions", "clickhouse://127.0.0.1:1/x", code=3)
    out(capsys, "dataset", "push", kept, double.url("wrong"))
    assert "asked alone" in err(capsys, "sessions", double.url("wrong"), kept, code=2)


@needs_engine
def test_pages__never_print_a_password(capsys: pytest.CaptureFixture[str], kept: str, double: Double) -> None:
    url = double.url("hidden", "default:geheim@")
    for words in (
        ("dataset", "push", kept, url),
        ("analyze", url),
        ("report", url, "-o", "-"),
        ("timers", url),
        ("compare", url, url),
    ):
        run(list(words))
        said = capsys.readouterr()
        assert "geheim" not in said.out + said.err, words


@needs_engine
def test_tls__is_spoken_and_the_certificate_is_checked(
    capsys: pytest.CaptureFixture[str], kept: str, tmp_path: Path
) -> None:
    pytest.importorskip("cryptography", reason="cryptography is not installed, which makes certificates")
    from tests.unit.web.test_tls import make_pair

    pair = make_pair(tmp_path, "database")
    double = Double(tmp_path / "engine", tls=(str(pair.cert), str(pair.key)))
    double.start()
    try:
        url = double.url("safe")
        assert "sessions brought" in out(
            capsys, "dataset", "push", kept, f"{url}?secure=1&ca_cert={pair.cert}"
        )
        assert str(SESSIONS) in out(capsys, "table", "sessions", f"{url}?secure=1&verify=0")
        assert "certificate" in err(capsys, "table", "sessions", f"{url}?secure=1", code=3).lower()
        assert "no ClickHouse answers" in err(capsys, "table", "sessions", url, code=3)
    finally:
        double.kill()


@needs_engine
@needs_s3
def test_push__of_a_dataset_in_a_store(
    capsys: pytest.CaptureFixture[str], kept: str, double: Double, store: Store
) -> None:
    place = store.url(f"{store.bucket()}/closes")
    S3Folder(place).upload(Path(kept))
    url = double.url("store")
    assert f"{SESSIONS} sessions brought" in out(capsys, "dataset", "push", place, url)
    assert "0 sessions brought" in out(capsys, "dataset", "push", kept, url)
