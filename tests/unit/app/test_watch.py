"""What a watch does to rows on their way to the dataset, and when sessions leave."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from prometheus_client import generate_latest

from lastack.app.sessions import Question, ask
from lastack.app.watch_keeper import Left, lowered, together
from lastack.app.watch_metrics import WatchMetrics
from lastack.app.watch_top import TopServers
from lastack.diagnosis.around import Around
from lastack.model.address import format_address
from lastack.store.manifest import read_manifest
from lastack.tracking.standing import Standing
from lastack.view.watch import WatchScreen, timeout_words

SAMPLE = Path(__file__).parents[3] / "samples" / "closes.pcapng"


@pytest.fixture(scope="module")
def batch() -> Any:
    batches: list[Any] = []
    ask([str(SAMPLE)], Question(), batches.append)
    return batches[0]


def test_lowered__only_sessions_that_were_live_during_a_loss(batch: Any) -> None:
    rows = batch.to_pylist()
    later = max(row["end_ns"] for row in rows) + 10**9
    middle = rows[len(rows) // 2]
    loss = (middle["start_ns"], middle["start_ns"])
    after = lowered(batch, [loss], later).to_pylist()
    changed = 0
    for row, new in zip(rows, after, strict=True):
        open_ended = row["ending"] in ("open", "half_closed", "vanished") or row["opening"] in (
            "unanswered", "half_open"
        )  # fmt: skip
        live = row["start_ns"] <= loss[1] and (open_ended or row["end_ns"] >= loss[0])
        better = row["observed"] in ("complete", "end_missing", "start_missing")
        assert new["observed"] == ("lossy" if live and better else row["observed"])
        changed += new["observed"] != row["observed"]
        assert {**new, "observed": 0} == {**row, "observed": 0}
    assert 0 < changed < len(rows)
    assert lowered(batch, [], later) is batch


def test_together__joins_what_nothing_else_is_known_of_and_keeps_the_order(batch: Any) -> None:
    one = [Left(batch.slice(number, 1), None, number) for number in range(3)]
    known = Left(batch.slice(3, 1), Around(), 3)
    joined = list(together([*one, known, one[0]]))
    assert [left.batch.num_rows for left in joined] == [3, 1, 1]
    whole = pa.Table.from_batches([batch]).slice(0, 3).to_pylist()
    assert joined[0].batch.to_pylist() == whole
    assert (joined[0].now_ns, joined[1].around) == (2, known.around)


def test_metrics__count_each_session_once_and_name_no_address(batch: Any) -> None:
    metrics = WatchMetrics()
    metrics.count(batch)
    totals = {"opened": 9, "packets": 5, "drops": 2, "evicted": 0, "lost": 0}
    metrics.stand(Standing(established=3, handshakes=2), totals, up=True, writable=True)
    metrics.stand(Standing(), {**totals, "opened": 7}, up=False, writable=False)  # totals never go back
    text = generate_latest(metrics.registry).decode()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    rows = [row for row in batch.to_pylist() if row["opening"] != "stray"]
    ended = sum(float(line.split()[1]) for line in lines if line.startswith("lastack_sessions_ended_total"))
    assert ended == len(rows) == sum(metrics.endings.values())
    assert "lastack_sessions_opened_total 9.0" in lines
    assert "lastack_interface_up 0.0" in lines
    timed = [row["ct_ns"] / 1e9 for row in rows if row["ct_ns"] is not None]
    assert f"lastack_handshake_seconds_count {float(len(timed))}" in lines
    within = sum(seconds <= 0.001 for seconds in timed)
    assert f'lastack_handshake_seconds_bucket{{le="0.001"}} {float(within)}' in lines
    for address in ("10.", "192.", "::", "fe80"):
        assert not any(address in line.split("}")[0] and "le=" not in line for line in lines if "{" in line)


def test_screen__shows_rates_since_the_last_picture() -> None:
    from rich.console import Console

    screen = WatchScreen(timeout_words({"closed": 30 * 10**9}))
    row = {
        "name": "eth0", "seconds": 10.0, "packets": 1000, "drops": 0, "opened": 10, "evicted": 0, "rows": 5, "held": 1,
        "lost": 0, "trouble": "", "up": True, "endings": {"rst": 2, "closed": 3}, "causes": {}, "segments": 1,
        "size": 1000, "standing": {"established": 1, "half_open": 2, "half_closed": 3, "closed": 4},
        "oldest_s": 61.0, "firing": ["web servers reset"],
        "servers": [("192.0.2.1:443", 4, 1), ("[2001:db8::1]:22", 1, 0)],
    }  # fmt: skip
    console = Console(record=True, width=110, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    with console.file:
        console.print(screen.render(row))
        console.export_text()
        console.print(
            screen.render({**row, "seconds": 12.0, "packets": 3000, "trouble": "full", "up": False})
        )
    text = console.export_text()
    (packets,) = (line for line in text.splitlines() if line.startswith("packets"))
    assert packets.split()[1:4] == ["3,000", "1,000/s", "▂█"]
    assert "interface down" in text
    assert "cannot be written: full" in text
    assert "half-closed (oldest 1 min" in text
    assert "alert: web servers reset" in text
    lines = [line.split() for line in text.splitlines()]
    assert lines.index(["closed", "3", "60", "%", "███████"]) < lines.index(["rst", "2", "40", "%", "█████"])
    assert text.index("192.0.2.1:443") < text.index("[2001:db8::1]:22")


def test_top_servers__are_those_of_the_last_minutes_and_few(batch: Any) -> None:
    now = 0.0
    top = TopServers(lambda: now)
    rows = [row for row in batch.to_pylist() if row["opening"] != "stray"]
    expected = Counter((format_address(row["server_ip"]), row["server_port"]) for row in rows)
    harmed = Counter(
        (format_address(row["server_ip"]), row["server_port"])
        for row in rows
        if row["harm"] not in ("none", "unknown")
    )
    for half in (batch.slice(0, 100), batch.slice(100)):
        top.add(half)
    found = top.first(100)
    assert {name: sessions for name, sessions, _ in found} == {
        f"{a}:{p}": n for (a, p), n in expected.items()
    }
    assert {name: hurt for name, _, hurt in found if hurt} == {f"{a}:{p}": n for (a, p), n in harmed.items()}
    assert [sessions for _, sessions, _ in found] == sorted(expected.values(), reverse=True)
    assert top.first(2) == found[:2]
    now = 250.0
    top.add(batch)
    assert sum(sessions for _, sessions, _ in top.first(100)) == 2 * len(rows)
    now = 330.0  # the first minute is over for long
    assert sum(sessions for _, sessions, _ in top.first(100)) == len(rows)
    now = 2000.0
    assert top.first(100) == []


def test_watch__a_pipe_gives_what_analyze_gives_if_no_timer_cuts(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lastack.cli.main", "watch", "-", "-o", str(tmp_path / "ds")]
    for name in ("established-idle", "half-open-idle", "half-closed-idle", "closed-linger"):
        command += [f"--{name}", "1000d"]
    with SAMPLE.open("rb") as stream:
        done = subprocess.run(command, stdin=stream, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    found: list[list[Any]] = []
    for name in (str(tmp_path / "ds"), str(SAMPLE)):
        rows: list[Any] = []
        ask([name], Question(), lambda batch, rows=rows: rows.extend(batch.to_pylist()))  # type: ignore[misc]
        found.append(sorted(({**row, "sensor": ""} for row in rows), key=lambda row: row["session_id"]))
    assert found[0] == found[1]
    run = read_manifest(tmp_path / "ds").run
    assert (run.residual, run.captures) == (0, ("stdin",))


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["watch", "eth0"], 2, "name the dataset"),
        (["watch", "-o", "x"], 2, "name an interface"),
        (["watch", "nosuch0", "-o", "x"], 3, "there is no such interface; there are"),
        (["watch", "-o", "x", "--check-alerts"], 2, "there is no rule"),
        (["watch", "-", "-o", "x", "--settings", "no.toml"], 3, "no.toml: No such file"),
    ],
)
def test_watch__mistakes_are_told(
    words: list[str], code: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    from lastack.cli.main import run

    monkeypatch.chdir(tmp_path)
    assert run(words) == code
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_check_alerts__says_what_each_rule_finds(
    tmp_path: Path, batch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    from lastack.cli.main import run

    rules = (
        '[[alert]]\nname="many"\nmetric="sessions"\nabove=1\nwindow="36500d"\nminimum=1\n'
        '[[alert]]\nname="few"\nmetric="rst.count/connection"\nabove=1e9\nwindow="36500d"\nminimum=1\n'
        '[[alert]]\nname="old"\nmetric="sessions"\nabove=1\nwindow="1s"\nminimum=1\n'
    )
    (tmp_path / "w.toml").write_text(rules, encoding="utf-8")
    assert run(["analyze", str(SAMPLE), "-o", str(tmp_path / "ds"), "-q"]) == 0
    capsys.readouterr()
    words = ["watch", "-o", str(tmp_path / "ds"), "--settings", str(tmp_path / "w.toml"), "--check-alerts"]
    assert run(words) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.rsplit(": ", 1)[1] for line in lines[:2]] == ["fires", "is quiet"]
    assert "says nothing: 0 sessions" in lines[2]
