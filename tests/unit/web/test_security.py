"""Nobody gets in who should not, and no question reaches beyond the dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest
from tests.unit.web.asgi import Client

from lastack.store.dataset import connect
from lastack.store.guard import guarded
from lastack.web.api import PREFIX
from lastack.web.jobs import Job, StoppedError
from lastack.web.problems import problem
from lastack.web.security import is_loopback
from lastack.web.server import make_app


def test_loopback__answers_to_its_own_names_only(client: Any) -> None:
    assert client.get("/healthz", headers={"Host": "evil.example:80"}).status_code == 421
    assert client.get("/healthz", headers={"Host": "[::1]:8011"}).status_code == 200
    assert client.get("/healthz", headers={"Host": "localhost"}).status_code == 200


@pytest.mark.parametrize(
    ("name", "loopback"),
    [
        ("127.0.0.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("127.0.0.1.evil.example", False),
    ],
)
def test_is_loopback__knows_addresses_and_one_name(name: str, loopback: bool) -> None:
    assert is_loopback(name) is loopback


def test_token__is_asked_for_everywhere(dataset: Path) -> None:
    client = Client(make_app([str(dataset)], token="secret"))
    for path in ("/", f"{PREFIX}/status", "/static/style.css", f"{PREFIX}/openapi.json"):
        assert client.get(path).status_code == 401
    assert client.get(f"{PREFIX}/status", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert client.get(f"{PREFIX}/status", headers={"Authorization": "Bearer secret"}).status_code == 200


def test_token__in_a_link_becomes_a_cookie(dataset: Path) -> None:
    client = Client(make_app([str(dataset)], token="secret"))
    answer = client.get("/sessions?f=rst+%3E+0&token=secret")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/sessions?f=rst+%3E+0"
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "SameSite=strict" in answer.headers["set-cookie"]
    assert client.get(f"{PREFIX}/status").status_code == 200


def test_every_answer__keeps_scripts_and_frames_out(client: Any) -> None:
    for path in ("/", f"{PREFIX}/status", f"{PREFIX}/nothing", "/static/style.css"):
        headers = client.get(path).headers
        assert "script-src 'self'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    "path", ["/static/../server.py", "/static/%2e%2e/server.py", "/static/..%2fserver.py"]
)
def test_static__stays_in_its_folder(client: Any, path: str) -> None:
    assert client.get(path).status_code == 404


def test_connection__of_a_question_reads_its_dataset_only(dataset: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("a\n1\n")
    with guarded(Job((str(dataset),)).admit), connect() as connection:
        segment = next(dataset.glob("*.parquet"))
        assert connection.execute(f"SELECT count(*) FROM read_parquet('{segment}')").fetchone() == (218,)
        for statement in (
            f"SELECT * FROM read_csv('{other}')",
            f"ATTACH '{tmp_path / 'x.duckdb'}'",
            "SET enable_external_access = true",
        ):
            with pytest.raises(duckdb.Error):
                connection.execute(statement)


def test_job__that_was_stopped_opens_nothing() -> None:
    job = Job()
    job.stop("enough")
    with guarded(job.admit), pytest.raises(StoppedError):
        connect()


def test_job__stops_a_running_statement() -> None:
    import threading

    job = Job()
    with guarded(job.admit), connect() as connection:
        timer = threading.Timer(0.2, job.stop, ["enough"])
        timer.start()
        with pytest.raises(duckdb.InterruptException):
            connection.execute("SELECT count(*) FROM range(4000000) a, range(4000000) b").fetchall()
        timer.join()


def test_unexpected_error__tells_nothing_of_the_inside() -> None:
    status, content = problem(RuntimeError("/secret/place"))
    assert status == 500
    assert "secret" not in str(content)
