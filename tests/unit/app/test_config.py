"""The configuration file: what it means, where it is found, and each mistake in it with its line."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lastack
from lastack.app.config import check_config, load_classes
from lastack.app.config_place import find_config
from lastack.app.grouped import open_source
from lastack.app.options import TrackOptions
from lastack.app.sessions import Question, ask
from lastack.cli.main import run
from lastack.model.address import parse_address
from lastack.model.errors import InputError
from lastack.query.parse import parse_filter

SAMPLE = Path(__file__).parents[3] / "samples" / "closes.pcapng"
GOOD = """\
[zones]
office = ["198.51.100.0/24", "2001:db8::/32"]

[zones.dmz]
cidr = "192.0.2.10"
vlan = [0, "10-20"]
priority = 5

[zones.servers]
cidr = ["192.0.2.0/24"]

[apps.web]
ports = [80, "443", "8000-8800"]

[apps.backup]
zone = "servers"
client_zone = ["office"]
"""


def write(folder: Path, text: str) -> str:
    path = folder / "zones.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def told(folder: Path, text: str) -> list[str]:
    path = write(folder, text)
    checked = check_config(path)
    return [checked.told(problem).removeprefix(path) for problem in checked.problems]


# --- what it means ----------------------------------------------------------------------------------------


def test_config__is_read(tmp_path: Path) -> None:
    classes = load_classes(write(tmp_path, GOOD))
    assert [zone.name for zone in classes.by_priority] == ["dmz", "office", "servers"]
    zone = classes.zone_of(parse_address("192.0.2.10"), 15)
    assert zone is not None
    assert (zone.name, zone.vlans) == ("dmz", ((0, 0), (10, 20)))
    found = classes.application_of(443, None, None)
    assert found is not None
    assert found.application.name == "web"
    found = classes.application_of(22, "office", "servers")
    assert found is not None
    assert found.application.name == "backup"


def test_config__rows_of_captures_get_zones_and_applications(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    table = lastack.track(SAMPLE, config=path).table
    rows = table.select(["client_zone", "server_zone", "app", "server_port"]).to_pylist()
    assert {row["server_zone"] for row in rows} == {"dmz", "servers"}
    assert {row["app"] for row in rows if row["server_port"] == 80} == {"web"}
    assert lastack.track(SAMPLE).table.column("app").unique().to_pylist() == ["unclassified"]


def answer(inputs: list[str], where: str, **options: Any) -> list[Any]:
    batches: list[Any] = []
    ask(inputs, Question(parse_filter(where)), batches.append, TrackOptions(**options))
    return [row for batch in batches for row in batch.to_pylist()]


def test_config__datasets_are_classified_anew_only_when_asked(tmp_path: Path) -> None:
    classes, data = load_classes(write(tmp_path, GOOD)), str(tmp_path / "data")
    assert run(["analyze", str(SAMPLE), "-o", data, "--config", "none", "-q"]) == 0
    captured = answer([str(SAMPLE)], "app = web and server.zone = dmz", classes=classes)
    assert answer([data], "app = web", classes=classes) == []
    anew = answer([data], "app = web and server.zone = dmz", classes=classes, reclassify=True)
    assert {row["session_id"] for row in anew} == {row["session_id"] for row in captured}
    assert len(anew) > 10


def test_config__grouped_questions_see_it(tmp_path: Path) -> None:
    from lastack.query.keys import parse_keys
    from lastack.query.measure_text import parse_measures
    from lastack.query.questions import Grouped

    classes, data = load_classes(write(tmp_path, GOOD)), str(tmp_path / "data")
    assert run(["analyze", str(SAMPLE), "-o", data, "--config", "none", "-q"]) == 0
    question = Grouped(parse_measures("sessions"), parse_keys("app"), None, None, (), None, 10, False)
    with open_source([data], TrackOptions(classes=classes, reclassify=True)) as source:
        anew = {row.keys[0] for row in source.grouped(question).rows}
    assert {"web", "backup", "unclassified"} >= anew >= {"web"}


# --- where it is found ------------------------------------------------------------------------------------


def test_find__given_then_variable_then_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LASTACK_CONFIG", raising=False)
    assert find_config() is None
    (tmp_path / "lastack.toml").write_text("", encoding="utf-8")
    assert find_config() == "lastack.toml"
    monkeypatch.setenv("LASTACK_CONFIG", "other.toml")
    assert find_config() == "other.toml"
    assert find_config("mine.toml") == "mine.toml"
    assert find_config("none") is None
    monkeypatch.setenv("LASTACK_CONFIG", "none")
    assert find_config() is None


# --- mistakes ---------------------------------------------------------------------------------------------

WRONG = [
    (
        "[zones.a]\ncidr = [\n  '10.0.0.0/8',\n  '10.1.2.3/16',\n]\n",
        ":4: zones.a.cidr: '10.1.2.3/16' has bits set",
    ),
    ("[zones.a]\ncidr = 'nonsense'\n", ":2: zones.a.cidr: 'nonsense' is no address and no CIDR block"),
    ("[zones.a]\ncidr = [7]\n", ":2: zones.a.cidr: '7' is not a text"),
    ("[zones.a]\ncidr = []\n", ":2: zones.a.cidr: is empty"),
    ("[zones.a]\npriority = 1\n", ":1: zones.a: has neither addresses nor VLANs"),
    ("[zones.a]\nvlan = 5000\n", ":2: zones.a.vlan: '5000' is beyond 4094"),
    ("[zones.a]\nvlan = ['20-x']\n", ":2: zones.a.vlan: '20-x' is no VLAN id and no range"),
    ("[zones.a]\ncidr = '::/0'\npriority = 1.5\n", ":3: zones.a.priority: must be a whole number, not 1.5"),
    ("[zones.a]\ncird = '::/0'\n", ":2: zones.a.cird: no such key; did you mean cidr?"),
    ("[zones]\na = 5\n", ":2: zones.a: must be a table, not 5"),
    ("[zone.a]\ncidr = '::/0'\n", ": zone: no such key; did you mean zones?"),
    ("[[zones]]\nname = 'a'\n", ": must be a table with a table for each name; write [zones.NAME] for each"),
    ("[apps.a]\nports = ['80-79']\n", ":2: apps.a.ports: '80-79' is no port and no range"),
    ("[apps.a]\nports = 70000\n", ":2: apps.a.ports: '70000' is no port"),
    ("[apps.a]\nports = []\n", ":2: apps.a.ports: is empty"),
    (
        "[apps.a]\nports = 80\nserver_zone = 'x'\n",
        ":3: apps.a.server_zone: 'x' is the name of no zone; declare",
    ),
    (
        "[zones]\ndmz='::/0'\n[apps.a]\nclient_zone = 'dnz'\n",
        ":4: apps.a.client_zone: 'dnz' is the name of no zone; did you mean dmz?",
    ),
    ("[apps.a]\n", ":1: apps.a: has neither ports nor zones"),
    ("[apps.unclassified]\nports = 80\n", ":1: apps.unclassified: 'unclassified' is the name of what no"),
]


@pytest.mark.parametrize(("text", "message"), WRONG, ids=[message[:40] for _, message in WRONG])
def test_check__says_place_mistake_and_remedy(tmp_path: Path, text: str, message: str) -> None:
    first = told(tmp_path, text)[0]
    assert message in first
    with pytest.raises(InputError, match=r"zones\.toml"):
        load_classes(write(tmp_path, text))


def test_check__tells_all_mistakes_in_the_order_of_the_file(tmp_path: Path) -> None:
    lines = told(tmp_path, "[zones.a]\nvlan = 'x'\npriority = 'y'\n[apps.b]\nports = -1\n")
    assert [line.split(":")[1] for line in lines] == ["2", "3", "5"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"[zones\n", "not TOML: .*line 1"),
        (b"\xff\xfe", "not UTF-8"),
        (None, "No such file"),
    ],
)
def test_load__unreadable_file_is_an_error_with_its_place(
    tmp_path: Path, data: bytes | None, message: str
) -> None:
    path = tmp_path / "x.toml"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(InputError, match=message):
        load_classes(str(path))


_VALUES = st.recursive(
    st.one_of(
        st.integers(-5, 70_000), st.booleans(), st.floats(allow_nan=False), st.text("a1./:", max_size=5)
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text("ab.", max_size=3), inner, max_size=3)
    ),
    max_leaves=6,
)
_KEYS = st.sampled_from(["cidr", "vlan", "priority", "ports", "zone", "client_zone", "server_zone", "x"])


@given(
    st.dictionaries(
        st.sampled_from(["zones", "apps", "more"]),
        _VALUES
        | st.dictionaries(
            st.text("ab.", max_size=3), st.dictionaries(_KEYS, _VALUES, max_size=3), max_size=3
        ),
    )
)
def test_check__no_document_is_a_traceback(document: dict[str, Any]) -> None:
    from unittest.mock import patch

    with patch("lastack.app.config.read_toml", return_value=("", document)):
        for problem in check_config("x").problems:
            assert problem.message


def test_example_of_the_help__is_good(tmp_path: Path) -> None:
    from lastack.app import config

    text = "\n".join(line.strip() for line in (config.__doc__ or "").splitlines() if line.startswith("    "))
    assert set(tomllib.loads(text)) == {"zones", "apps"}
    assert check_config(write(tmp_path, text)).problems == []
