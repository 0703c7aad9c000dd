"""Whatever is asked of the API, its answer is one of those that its own description lists, and never a 500."""

from __future__ import annotations

import json
import os
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.unit.web.asgi import Client

from lastack.web.api import ENDPOINTS, PREFIX
from lastack.web.endpoint import Endpoint
from lastack.web.params import Param

EXAMPLES = 120 if os.environ.get("LASTACK_PROPERTY") == "quick" else 400
#: Words that mean something in some place, and things that mean nothing or go to the edge.
WORDS = [
    "rst > 0",
    "rst.count > 0 and fin.count = 0",
    "not (ending = rst)",
    "client.ip in 10.0.0.0/8",
    "server.port in {80, 443..500}",
    "half_closed > 30s",
    "duration > 99999d",
    "bytes > 18446744073709551615",
    "bytes > 99999999999999999999999999",
    "app ~ a*",
    "session_id = -1",
    "start > 9999-12-31",
    "rst_ttl_delta = 0",
    "cause_confidence > 1e308",
    "vlan is null",
    "syn/",
    "()",
    "((((((",
    "sessions",
    "service",
    "client",
    "zones",
    "time",
    "p99(ct)",
    "p0(ct)",
    "max(bytes)",
    "sum(bytes)",
    "avg(half_closed)",
    "distinct(client.ip)",
    "share(rst > 0)",
    "count(",
    "example",
    "rst.srv/connection",
    "bytes/bytes",
    "sessions,sessions",
    "conversation",
    "history",
    "start_ns",
    "gaps",
    "evidence",
    "all",
    "session_id",
    "-bytes",
    "+ct",
    "-",
    ",",
    ",,",
    "half_closed=5s..1h/3",
    "half_closed=1s",
    "nothing=1",
    "ssh.half_closed=1h",
    "panos",
    "0",
    "1",
    "-1",
    "1e9",
    "9" * 30,
    "0s",
    "1ns",
    "1d",
    "10m",
    "1000000d",
    "2026-11-21",
    "2026-11-21T03:01:00Z",
    "1795230056667826355",
    "1970-01-01",
    "true",
    "",
    " ",
    "\x00",
    "é",
    "'",
    '"',
    "\\",
    "; DROP TABLE x",
    "' OR 1=1 --",
    "../../etc/passwd",
    "read_csv('/etc/passwd')",
    "%",
    "_",
    "\u202e",
    "a" * 9000,
]


def value(param: Param) -> st.SearchStrategy[str]:
    usual = [param.example] if param.example else []
    usual += list(param.choices) or WORDS
    return st.sampled_from(usual) | st.text(max_size=12)


@st.composite
def requests(draw: Any) -> tuple[Endpoint, str, dict[str, str]]:
    endpoint = draw(st.sampled_from(ENDPOINTS))
    path = endpoint.path
    if endpoint.path_params:
        path = path.replace(
            "{id}", draw(st.sampled_from(["1", "0", "-1", "x", "9" * 25, "18446744073709551615"]))
        )
    params = {}
    for param in endpoint.params:
        if param.required or draw(st.integers(0, 2)) == 0:
            params[param.name] = draw(value(param))
    if draw(st.integers(0, 15)) == 0:
        params[draw(st.text(min_size=1, max_size=5))] = "x"
    return endpoint, path, params


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
    derandomize=True,
)
@given(request=requests())
def test_crawl__finds_no_internal_error(
    client: Client, request: tuple[Endpoint, str, dict[str, str]]
) -> None:
    endpoint, path, params = request
    answer = client.get(f"{PREFIX}{path}", params)
    documented = {200, 400, *([404] if endpoint.missing else [])}
    assert answer.status_code in documented, (path, params, answer.text[:500])
    if answer.status_code != 200:
        error = json.loads(answer.content)["error"]
        assert error["message"], (path, params)


def test_asker_who_goes_away__stops_the_question(client: Client) -> None:
    answer = client.get(f"{PREFIX}/whatif", {"sweep": "half_closed=1s..1h/100"}, gone_after_s=0.0)
    assert answer.status_code in (200, 504)


def test_unknown_address__is_a_json_404_in_the_api_and_405_for_other_methods(client: Client) -> None:
    assert client.get(f"{PREFIX}/nothing").json()["error"]["code"] == "missing"
    assert client.get(f"{PREFIX}/status", method="POST").status_code == 405
