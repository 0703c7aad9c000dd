"""`lastack replay`: what it prints, in each format, and what it refuses."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.naive.packets import ACK, FIN, PSH, SYN, Packet
from tests.naive.write import write

from lastack.cli.main import cli, run

S = 1_000_000_000
BASE = 1_700_000_000 * S
CLIENT, SERVER = ("10.0.0.9", 40_000), ("10.0.0.10", 443)


def packet(at_s: float, sender: int, flags: int, seq: int, ack: int, payload: int = 0) -> Packet:
    here, there = (CLIENT, SERVER) if sender == 0 else (SERVER, CLIENT)
    return Packet(BASE + round(at_s * S), *here, *there, seq, ack, flags, payload)


#: A half-close: the client is done, the server thinks for 60 s and then answers with 100 bytes and its FIN.
HALF_CLOSED = [
    packet(0, 0, SYN, 100, 0),
    packet(0.01, 1, SYN | ACK, 500, 101),
    packet(0.02, 0, ACK, 101, 501),
    packet(1, 0, PSH | ACK, 101, 501, 10),
    packet(1, 0, FIN | ACK, 111, 501),
    packet(1.01, 1, ACK, 501, 112),
    packet(61, 1, PSH | ACK, 501, 112, 100),
    packet(61, 1, FIN | ACK, 601, 112),
    packet(61.01, 0, ACK, 112, 602),
]


@pytest.fixture
def capture(tmp_path: Path) -> str:
    return str(write(tmp_path / "half.pcap", HALF_CLOSED))


def replay(*words: str) -> str:
    done = CliRunner().invoke(cli, ["replay", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_text__says_what_breaks_and_that_the_loop_is_open(capture: str):
    text = replay(capture, "--profile", "panos_legacy")
    assert "1 of 1" in text
    assert "payload did not arrive" in text
    assert "Open loop" in text


def test_json__has_the_moment_the_timer_and_the_loss(capture: str):
    document = json.loads(replay(capture, "--profile", "panos_legacy", "--format", "json"))
    (one,) = document["sessions_broken"]
    assert one["harm"] == "data_lost"
    assert one["broken_ns"] == BASE + 31 * S
    assert one["state"] == "fin1_acked"
    assert (one["first_refused_packet"], one["refused_clt"], one["refused_srv"]) == (7, 1, 2)
    assert (one["lost_bytes_clt"], one["lost_bytes_srv"]) == (0, 100)
    assert document["entries"]["made"] == 1


def test_longer_timer__keeps_the_session(capture: str):
    document = json.loads(replay(capture, "--profile", "panos", "--format", "json"))
    assert document["broken"]["total"] == 0


def test_set__changes_a_timer(capture: str):
    words = ["--profile", "panos", "--set", "half_closed=30s", "--format", "json"]
    assert json.loads(replay(capture, *words))["broken"]["total"] == 1


def test_csv__lists_broken_sessions(capture: str, tmp_path: Path):
    path = tmp_path / "broken.csv"
    replay(capture, "--profile", "panos_legacy", "-o", str(path))
    (row,) = csv.DictReader(path.read_text().splitlines())
    assert row["client_port"] == "40000"


def test_packets__has_a_verdict_for_each(capture: str, tmp_path: Path):
    path = tmp_path / "verdicts.jsonl"
    replay(capture, "--profile", "panos_legacy", "--packets", str(path))
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["action"] for row in rows] == ["forward"] * 6 + ["drop"] * 3
    assert [row["packet"] for row in rows] == list(range(1, 10))
    assert rows[5]["state"] == "fin1_acked"


def test_small_table__refuses_new_sessions_and_says_so(tmp_path: Path):
    crowd = [
        Packet(BASE + n * 1000, "10.0.0.9", 1000 + n, "10.0.0.10", 443, 1, 0, SYN, number=n)
        for n in range(50)
    ]
    path = write(tmp_path / "crowd.pcap", crowd)
    document = json.loads(
        replay(str(path), "--profile", "panos", "--table-size", "10", "--format", "json", "--no-forks")
    )
    assert document["entries"]["peak"] == 10
    assert {"action": "drop", "reason": "table_full", "count": 40} in document["segments"]


def test_forks__tell_whether_the_verdict_hangs_on_them(capture: str):
    document = json.loads(replay(capture, "--profile", "panos_legacy", "--format", "json"))
    assert document["forks"]
    assert not json.loads(replay(capture, "--profile", "panos_legacy", "--format", "json", "--no-forks"))[
        "forks"
    ]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["nosuch.pcap", "--profile", "panos"], 3),
        (["CAPTURE"], 2),
        (["CAPTURE", "--profile", "nosuch"], 2),
        (["CAPTURE", "--profile", "linux_host"], 2),
        (["CAPTURE", "--profile", "panos", "--follow"], 2),
        (["CAPTURE", "--profile", "panos", "--set", "half_closed=never ever"], 2),
    ],
)
def test_mistakes__are_one_line_and_an_exit_code(
    capture: str, words: list[str], code: int, capsys: pytest.CaptureFixture[str]
):
    assert run(["replay", *[capture if word == "CAPTURE" else word for word in words]]) == code
    assert "Traceback" not in capsys.readouterr().err
