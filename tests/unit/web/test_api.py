"""The API answers what the command line answers, and its errors say where the mistake is."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from tests.unit.web.asgi import Client

from lastack.app.grouped import open_source
from lastack.app.overview import survey_inputs
from lastack.app.report import gather
from lastack.store.manifest import read_manifest, write_manifest
from lastack.web.api import ENDPOINTS, PREFIX
from lastack.web.endpoint import Settings
from lastack.web.jobs import Limits
from lastack.web.server import make_app


def get(client: Any, path: str, **params: Any) -> Any:
    answer = client.get(f"{PREFIX}{path}", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_overview__equals_the_survey(client: Any, dataset: Path) -> None:
    found = get(client, "/overview")
    truth = survey_inputs([str(dataset)]).overview
    assert found["attempts"] == truth.ledger.attempts
    assert found["established"] == truth.ledger.established
    assert found["residual"] == 0
    openings = {part["name"]: part["sessions"] for part in found["openings"]}
    assert openings == {"established": truth.ledger.established} | {
        name: n for name, n in truth.ledger.failures.items() if n
    }
    endings = {part["name"]: part["sessions"] for part in found["endings"]}
    assert endings == {name: n for name, n in truth.ledger.endings.items() if n}
    assert {one["cause"]: one["sessions"] for one in found["causes"]} == truth.causes


def test_ledger__filters_lead_to_as_many_sessions(client: Any) -> None:
    found = get(client, "/overview")
    for part in found["endings"]:
        assert get(client, "/sessions", filter=part["where"], limit=1)["total"] == part["sessions"]


def test_series__add_up_to_the_sessions(client: Any, dataset: Path) -> None:
    found = get(client, "/series", by="ending", every="5s")
    with open_source([str(dataset)]) as source:
        truth = gather(source, [str(dataset)], every_ns=5 * 10**9).endings
    assert {line["name"]: tuple(line["values"]) for line in found["series"]} == {
        line.name: line.values for line in truth.series
    }


@pytest.mark.parametrize("path", ["/series", "/level"])
def test_chart__of_too_many_buckets_is_refused_before_they_are_read(
    client: Any, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    import lastack.app.series as charts

    answer = client.get(f"{PREFIX}{path}", params={"every": "1ns"})
    assert answer.status_code == 400
    assert "larger --every" in answer.json()["error"]["message"]
    monkeypatch.setattr(charts, "MOST_BUCKETS", 10)
    answer = client.get(f"{PREFIX}{path}", params={"every": "1us"})
    assert "more than 10 buckets of 1 µs" in answer.json()["error"]["message"]


def test_sessions__pages_make_the_whole(client: Any) -> None:
    whole = get(client, "/sessions", limit=1000, sort="start")
    pages = [get(client, "/sessions", limit=100, offset=at, sort="start")["rows"] for at in (0, 100, 200)]
    assert whole["total"] == len(whole["rows"]) == 218
    # Rows of one start may come in any order: what counts is that each is there once.
    assert sorted(row["session_id"] for page in pages for row in page) == sorted(
        row["session_id"] for row in whole["rows"]
    )


@pytest.mark.parametrize("sort", ["-end", "start", "-half_closed", "ct", "-bytes", "app"])
def test_page__has_the_first_rows_of_the_whole_order(client: Any, sort: str) -> None:
    columns = {"end": ["end_ns"], "start": ["start_ns"], "half_closed": ["half_closed_ns"], "ct": ["ct_ns"]}
    columns |= {"bytes": ["bytes_clt", "bytes_srv"], "app": ["app"]}
    names = columns[sort.lstrip("-")]
    few = get(client, "/sessions", limit=30, offset=5, sort=sort)["rows"]
    whole = get(client, "/sessions", limit=1000, sort=sort)["rows"]

    def keys(rows: list[dict[str, Any]]) -> list[Any]:
        return [row[names[0]] if len(names) == 1 else sum(row[name] for name in names) for row in rows]

    assert keys(few) == keys(whole)[5:35]


def test_time__cuts_by_the_last_packet(client: Any) -> None:
    rows = get(client, "/sessions", limit=1000)["rows"]
    ends = sorted(int(row["end_ns"]) for row in rows)
    middle = ends[100]
    before, after = (get(client, "/sessions", limit=1, **{name: middle})["total"] for name in ("to", "from"))
    assert before == sum(ns < middle for ns in ends)
    assert before + after == len(ends)


def test_stream__has_every_session_in_both_formats(client: Any) -> None:
    text = client.get(f"{PREFIX}/sessions/all", params={"columns": "session_id,ending"}).text
    rows = list(csv.DictReader(io.StringIO(text)))
    data = client.get(
        f"{PREFIX}/sessions/all", params={"format": "arrow", "columns": "session_id,ending"}
    ).content
    table = pa.ipc.open_stream(data).read_all()
    assert sorted(row["session_id"] for row in rows) == sorted(map(str, table["session_id"].to_pylist()))
    assert table.num_rows == 218


def test_stream__says_a_mistake_before_it_begins(client: Any) -> None:
    answer = client.get(f"{PREFIX}/sessions/all", params={"sort": "nonsense"})
    assert answer.status_code == 400
    assert "nonsense" in answer.json()["error"]["message"]


def test_session__has_verdict_ladder_and_packets(client: Any) -> None:
    row = get(client, "/sessions", filter="cause = data_after_close", limit=1)["rows"][0]
    path, at = f"/sessions/{row['session_id']}", {"at": row["start_ns"]}
    found = get(client, path, **at)
    assert found["verdict"]["cause"] == "data_after_close"
    assert found["session"]["session_id"] == row["session_id"]
    steps = get(client, f"{path}/ladder", **at)["steps"]
    assert [step["flags"] for step in steps][:3] == [["SYN"], ["SYN", "ACK"], ["ACK"]]
    data = client.get(f"{PREFIX}{path}/packets", params=at)
    assert data.headers["content-disposition"] == f'attachment; filename="session-{row["session_id"]}.pcapng"'
    assert data.content[:4] == b"\x0a\x0d\x0d\x0a"


def test_session__that_is_not_there_is_404(client: Any) -> None:
    answer = client.get(f"{PREFIX}/sessions/1")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "missing"


def test_packets__are_not_read_when_not_allowed(dataset: Path) -> None:
    app = make_app([str(dataset)], settings=Settings(("closes",), packets=False))
    client = Client(app)
    row = get(client, "/sessions", limit=1)["rows"][0]
    assert get(client, f"/sessions/{row['session_id']}/ladder")["steps"] is None
    assert client.get(f"{PREFIX}/sessions/{row['session_id']}/packets").status_code == 404


def test_half_closed__knows_who_waits_and_what_boxes_do(client: Any) -> None:
    found = get(client, "/half-closed")
    assert len(found["waiting"]) == found["table"]["total"]["half_closed_backlog"] == 1
    assert found["timers"] == sorted(found["timers"], key=lambda timer: timer["ns"])
    assert (
        sum(map(sum, found["spread"]["counts"].values()))
        == get(client, "/sessions", filter="half_closed > 0", limit=1)["total"]
    )


def test_whatif__shorter_timers_break_more(client: Any) -> None:
    swept = get(client, "/whatif", profile="panos", sweep="half_closed=1s,10s,1h")["answers"][1]["settings"]
    broken = [row["broken_most"] for row in swept]
    assert broken == sorted(broken, reverse=True)
    assert broken[0] > broken[-1]
    listed = get(client, "/whatif/sessions", profile="panos", set="half_closed=1s")
    assert listed["broken"] == broken[0]


@pytest.mark.parametrize("profile", ["/etc/passwd", "../panos.toml", "x.toml"])
def test_whatif__takes_no_file(client: Any, profile: str) -> None:
    assert client.get(f"{PREFIX}/whatif", params={"profile": profile}).status_code == 400


def test_compare__finds_what_changed(client: Any) -> None:
    status = get(client, "/status")
    first, last = status["first_ns"], status["last_ns"]
    middle = (first + last) // 2
    found = get(client, "/compare", before_from=first, before_to=middle, after_from=middle, after_to=last + 1)
    sessions = next(row for row in found["summary"] if row["metric"] == "sessions")
    assert int(sessions["before"]) + int(sessions["after"]) == 218


@pytest.mark.parametrize(
    ("params", "parameter", "column", "hint"),
    [
        ({"filter": "rst.cont > 0"}, "filter", 0, "rst.count"),
        ({"filter": "rst > 0 and endin = rst"}, "filter", 12, "ending"),
        ({"filtre": "rst > 0"}, "filtre", None, "filter"),
        ({"limit": "0"}, "limit", None, "from 1"),
        ({"limit": ""}, "limit", None, "not a whole number"),
        ({"from": "yesterday"}, "from", None, ""),
        ({"columns": "clent_ip"}, "columns", None, "client_ip"),
    ],
)
def test_mistake__is_named_with_its_place(
    client: Any, params: dict[str, str], parameter: str, column: int | None, hint: str
) -> None:
    answer = client.get(f"{PREFIX}/sessions", params=params)
    error = answer.json()["error"]
    assert answer.status_code == 400
    assert (error["parameter"], error.get("column")) == (parameter, column)
    assert hint in error["message"]


def test_openapi__lists_every_endpoint_with_its_parameters(client: Any) -> None:
    found = get(client, "/openapi.json")["paths"]
    assert set(found) == {f"{PREFIX}{one.path}" for one in ENDPOINTS}
    for one in ENDPOINTS:
        names = {param["name"] for param in found[f"{PREFIX}{one.path}"]["get"]["parameters"]}
        assert names == {param.name for param in (*one.params, *one.path_params)}
    ids = [path["get"]["operationId"] for path in found.values()]
    assert len(ids) == len(set(ids))


def test_answer__is_the_same_again_and_not_sent_twice(client: Any) -> None:
    first = client.get(f"{PREFIX}/overview")
    again = client.get(f"{PREFIX}/overview", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert again.content == b""


def test_dataset__is_read_anew_when_it_grows(dataset: Path, tmp_path: Path) -> None:
    live = tmp_path / "live"
    shutil.copytree(dataset, live)
    manifest = read_manifest(live)
    write_manifest(live, type(manifest)("growing", (), ()))
    client = Client(make_app([str(live)]))
    status = get(client, "/status")
    assert (status["sessions"], status["growing"]) == (0, True)
    assert get(client, "/overview")["sessions"] == 0
    write_manifest(live, manifest)
    assert get(client, "/overview")["sessions"] == 218
    assert get(client, "/status")["version"] != status["version"]


def test_dataset__that_goes_away_is_503(dataset: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    shutil.copytree(dataset, gone)
    client = Client(make_app([str(gone)]))
    shutil.rmtree(gone)
    answer = client.get(f"{PREFIX}/overview")
    assert answer.status_code == 503
    assert str(tmp_path) not in answer.text


def test_question__that_takes_too_long_is_stopped(dataset: Path) -> None:
    app = make_app([str(dataset)], limits=Limits(seconds=0.000_001))
    answer = Client(app).get(f"{PREFIX}/overview")
    assert answer.status_code == 504
    assert json.loads(answer.content)["error"]["code"] == "stopped"
