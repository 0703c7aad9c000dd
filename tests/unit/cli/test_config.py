"""`lastack config`: checks, shows and explains zones and applications; `--config` puts them in force."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lastack.cli.main import run

SAMPLE = str(Path(__file__).parents[3] / "samples" / "closes.pcapng")
TEXT = """\
[zones]
web = ["192.0.2.10", "192.0.2.20"]
[zones.servers]
cidr = ["192.0.2.0/24"]
priority = 200
[zones.lab]
cidr = ["10.0.0.0/8"]
vlan = 20
[apps.http]
ports = [80, "8000-8999"]
[apps.inside]
server_zone = "servers"
[apps.special]
ports = 80
client_zone = "lab"
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LASTACK_CONFIG", raising=False)
    (tmp_path / "lastack.toml").write_text(TEXT, encoding="utf-8")
    return tmp_path


def out(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    capsys.readouterr()
    assert run(list(arguments)) == code
    return capsys.readouterr().out


def test_check__good_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert out(capsys, "config", "check") == "lastack.toml: can be used: 3 zones, 3 applications\n"


def test_check__mistakes_end_with_1(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "bad.toml").write_text("[zones.a]\ncidr = 'x'\n", encoding="utf-8")
    text = out(capsys, "config", "check", "bad.toml", code=1)
    assert text.splitlines()[0] == "error: bad.toml:2: zones.a.cidr: 'x' is no address and no CIDR block"
    content = json.loads(out(capsys, "config", "check", "bad.toml", "--format", "json", code=1))
    assert content["problems"][0]["line"] == 2


def test_check__warnings_count_when_strict(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "odd.toml").write_text("[zones]\na = '10.0.0.0/8'\nb = '10.1.0.0/16'\n", encoding="utf-8")
    assert "warning: odd.toml:3: zones.b: never matches" in out(capsys, "config", "check", "odd.toml")
    out(capsys, "config", "check", "odd.toml", "--strict", code=1)


def test_check__no_configuration_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LASTACK_CONFIG", raising=False)
    assert run(["config", "check"]) == 2
    assert "no configuration: name a file" in capsys.readouterr().err
    assert run(["config", "check", "gone.toml"]) == 3


def test_show__in_the_order_in_which_they_are_asked(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = out(capsys, "config", "show").splitlines()
    zones = [line.split()[0] for line in lines[2:5]]
    assert zones == ["web", "lab", "servers"]
    assert [line.split()[0] for line in lines[8:11]] == ["special", "http", "http"]


def test_explain__says_what_was_asked_and_why_not(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = out(capsys, "config", "explain", "192.0.2.10:80", "--client", "10.0.0.1")
    assert "server 192.0.2.10: web" in text
    assert "no   servers  192.0.2.0/24, but it is asked later (priority 200)" in text
    assert "10.0.0.0/8, but only on VLAN 20, and this is no VLAN" in text
    assert "port 80: http" in text
    assert "but it wants clients in lab" in text
    text = out(capsys, "config", "explain", "192.0.2.10:80", "--client", "10.0.0.1", "--vlan", "20")
    assert "port 80: special" in text
    assert "in no zone" in out(capsys, "config", "explain", "[2001:db8::1]:22")


@pytest.mark.parametrize("text", ["nowhere:80", "10.0.0.1:http", "10.0.0.1:70000", "10.0.0"])
def test_explain__nonsense_is_refused(here: Path, text: str) -> None:
    assert run(["config", "explain", text]) == 2


def test_sessions__use_the_file_of_the_folder_and_say_so(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "sessions",
        SAMPLE,
        "-f",
        "server.zone = web and app = http",
        "--format",
        "csv",
        "--columns",
        "app",
    ]
    assert run(arguments) == 0
    said = capsys.readouterr()
    assert set(said.out.splitlines()[1:]) == {"http"}
    assert "zones and applications from lastack.toml" in said.err
    assert out(capsys, *arguments, "--config", "none").splitlines() == ["app"]


def test_config__with_mistakes_stops_the_command(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "bad.toml").write_text("[zones.a]\ncidr = 'x'\n", encoding="utf-8")
    assert run(["analyze", SAMPLE, "--config", "bad.toml"]) == 3
    assert "bad.toml:2: zones.a.cidr" in capsys.readouterr().err


def test_dataset__keeps_its_zones_until_a_file_is_named(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["analyze", SAMPLE, "-o", "data", "-q"]) == 0
    (here / "other.toml").write_text("[apps.all]\nports = '0-65535'\n", encoding="utf-8")
    arguments = ["sessions", "data", "--format", "csv", "--columns", "app", "--limit", "5000"]
    assert "http" in out(capsys, *arguments)
    assert set(out(capsys, *arguments, "--config", "other.toml").splitlines()) == {"app", "all"}
