"""`lastack profiles` and `lastack policy` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lastack.app.profiles import profile_names
from lastack.cli.main import run

Printed = pytest.CaptureFixture[str]


@pytest.fixture(name="policy")
def _policy(tmp_path: Path) -> str:
    path = tmp_path / "policy.toml"
    path.write_text('profile = "panos"\n[timers]\nhalf_closed = "30s"\ntime_wait = "1m"\n', encoding="utf-8")
    return str(path)


def test_profiles__alone_lists_all(capsys: Printed) -> None:
    assert run(["profiles"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1 : 1 + len(profile_names())]] == list(profile_names())


def test_profiles__list_says_start_clock_and_confidence(capsys: Printed) -> None:
    assert run(["profiles", "list", "--format", "json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    keys = ("half_closed_s", "starts_at", "counts", "open_question", "confidence")
    assert [rows["panos_legacy"][key] for key in keys] == [30, "first FIN", "absolute", True, "medium"]
    assert [rows["checkpoint"][key] for key in keys] == [3600, "none", "idle", False, "medium"]
    assert [rows["linux_conntrack"][key] for key in keys] == [60, "first FIN acked", "idle", False, "high"]
    assert [rows["linux_host"][key] for key in keys] == [60, "close", "absolute", False, "high"]
    assert rows["macos_host"]["half_closed_s"] is None


def test_profiles__list_takes_a_pattern_kind_and_csv(capsys: Printed) -> None:
    assert run(["profiles", "--kind", "host", "--format", "csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6
    assert run(["profiles", "list", "palo"]) == 0
    assert "panos_legacy" in capsys.readouterr().out
    assert run(["profiles", "list", "nothing-like-it"]) == 2
    assert run(["profiles", "--kind", "hots"]) == 2
    assert "did you mean host?" in capsys.readouterr().err


@pytest.mark.parametrize("name", profile_names())
def test_profiles__show_has_every_timer_question_and_source(name: str, capsys: Printed) -> None:
    assert run(["profiles", "show", name, "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert run(["profiles", "show", name]) == 0
    text = " ".join(capsys.readouterr().out.split())
    for part in ("timers", "forks", "switches"):
        for entry in told[part]:
            assert (entry if part == "timers" else entry["name"]) + (":" if part == "timers" else "") in text
    for sentence in (*told["cannot"], *told["sources"], *told["notes"]):
        assert " ".join(sentence.split()) in text


def test_profiles__show_takes_readings_and_switches(capsys: Printed) -> None:
    assert run(["profiles", "show", "panos", "--fork", "closing_refresh=idle"]) == 0
    assert "tcp_half_closed: 2 min, idle;" in capsys.readouterr().out
    assert run(["profiles", "show", "juniper_srx", "--set", "apply-to-half-close-state=on"]) == 0
    assert "time_wait: 2 min 30 s, idle; fin1, fin1 acked" in capsys.readouterr().out
    assert run(["profiles", "show", "pnaos"]) == 2
    assert "did you mean panos?" in capsys.readouterr().err


def test_profiles__check_exits_with_one_on_errors(tmp_path: Path, capsys: Printed) -> None:
    good, bad = tmp_path / "good.toml", tmp_path / "bad.toml"
    good.write_text('base = "panos"\n[timers.tcp_half_closed]\nseconds = 60\n', encoding="utf-8")
    bad.write_text('base = "panos"\n[timers.tcp_half_closed]\nsecnds = 60\n', encoding="utf-8")
    assert run(["profiles", "check", str(good)]) == 0
    assert "can be used: 7 timers, half closed 60 s (tcp_half_closed)" in capsys.readouterr().out
    assert run(["profiles", "check", str(good), str(bad)]) == 1
    assert (
        f"error: {bad}:3: timers.tcp_half_closed.secnds: no such key; did you mean seconds?"
        in capsys.readouterr().out
    )
    assert run(["profiles", "check", str(bad), "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().out)[0]["problems"][0]["line"] == 3
    assert run(["profiles", "check", str(tmp_path / "missing.toml")]) == 3


def test_policy__check_warns_and_shows_the_effective_value(policy: str, capsys: Printed) -> None:
    assert run(["policy", "check", policy]) == 0
    text = capsys.readouterr().out
    assert "1 min is accepted" in text
    assert "30 s*" in text
    assert run(["policy", "check", policy, "--strict"]) == 1


def test_policy__check_json_has_configured_and_effective(policy: str, capsys: Printed) -> None:
    assert run(["policy", "check", policy, "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["policy"]["scopes"][0]["timers"]["tcp_time_wait"] == {
        "configured": 60, "effective": 30, "set_by": "global", "clamped_by": "tcp_half_closed",
    }  # fmt: skip
    assert told["changes"] is None


def test_policy__check_compares_with_the_running_one(policy: str, tmp_path: Path, capsys: Printed) -> None:
    running = tmp_path / "running.toml"
    running.write_text('profile = "panos"\n', encoding="utf-8")
    assert run(["policy", "check", policy, "--running", str(running)]) == 0
    text = capsys.readouterr().out
    assert "2 changes" in text
    assert "1 min (in effect 30 s)" in text
    assert run(["policy", "check", policy, "--running", policy, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["changes"] == []


def test_policy__check_exits_with_one_on_errors_and_three_without_a_policy(
    tmp_path: Path, capsys: Printed
) -> None:
    path = tmp_path / "bad.toml"
    path.write_text('profile = "panos"\n[timers]\ntime_wait = "20m"\n', encoding="utf-8")
    assert run(["policy", "check", str(path)]) == 1
    text = " ".join(capsys.readouterr().out.split())
    assert f"{path}:3: timers.time_wait: 20 min is outside of the range" in text
    assert run(["policy", "check", str(tmp_path / "missing.toml")]) == 3


@pytest.mark.parametrize("name", profile_names())
def test_policy__new_writes_one_that_can_be_checked(name: str, tmp_path: Path, capsys: Printed) -> None:
    path = tmp_path / "policy.toml"
    assert run(["policy", "new", name, "-o", str(path)]) == 0
    assert run(["policy", "check", str(path)]) == 0
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    start = lines.index("[timers]") + 1
    # every timer that it offers can be set to what it says
    offered = [line.removeprefix("# ") for line in lines[start:] if line.startswith("# ") and '"  #' in line]
    path.write_text("\n".join([*lines[:start], *offered]) + "\n", encoding="utf-8")
    assert run(["policy", "check", str(path)]) == 0, capsys.readouterr().out


def test_policy__export_writes_text_and_says_what_differs(
    policy: str, tmp_path: Path, capsys: Printed
) -> None:
    assert run(["policy", "export", "nftables", policy]) == 0
    told = capsys.readouterr()
    assert "close_wait : 30" in told.out
    assert "different on Linux: absolute times become idle ones" in told.err
    target = tmp_path / "timers.nft"
    assert run(["policy", "export", "nftables", policy, "-q", "-o", str(target)]) == 0
    assert capsys.readouterr().err == ""
    assert target.read_text(encoding="utf-8") == told.out
    assert run(["policy", "export", "nftables", policy, "--netns", "lab"]) == 2
