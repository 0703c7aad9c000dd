"""The close generator end to end: played, written, labelled, read back, compared."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.system.lab_tools import lastack, needs_lab

from lastack.lab.closes import PATTERNS, play_all

pytestmark = [pytest.mark.system, needs_lab]

#: One of each kind that is over in well under a second, and two boxes that forget.
QUICK = [
    "refused", "port_reused", "close_client_first_v6", "close_crossing", "reset_unread_data_server",
    "local_kill", "peer_rebooted", "fin_lost", "vxlan", "nat_half_closed_reset", "nat_half_closed_aged",
]  # fmt: skip


def test_close__what_is_played_is_found_and_a_wrong_label_is_told(tmp_path: Path) -> None:
    path = tmp_path / "some.pcapng"
    done = lastack("lab", "close", *QUICK, "-o", str(path), "--verify", "--format", "json", timeout_s=120)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert (found["patterns"], found["differences"]) == (len(QUICK), [])
    assert found["values"] > 25 * len(QUICK)

    labels = Path(f"{path}.labels.toml")
    labels.write_text(
        labels.read_text(encoding="utf-8").replace('ending = "rst"', 'ending = "closed"', 1), "utf-8"
    )
    again = lastack("lab", "close", "--check", str(path))
    assert again.returncode == 1
    assert "rst, not closed" in again.stdout


def test_close__the_capture_says_what_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "one.pcapng"
    lastack("lab", "close", "reset_by_client", "-o", str(path))
    data = path.read_bytes()
    assert b"reset_by_client: the client closes with SO_LINGER 0" in data
    assert b"ending rst, close_order R" in data


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["half_close_clien"], "did you mean half_close_client?"),
        (["--family", "odd"], "no family is called 'odd'; there are opening, closing, resets"),
        ([], "name patterns, or --all"),
        (["refused"], "say where to write the capture"),
    ],
)
def test_close__mistakes_are_told(words: list[str], message: str) -> None:
    done = lastack("lab", "close", *words)
    assert done.returncode == 2
    assert message in done.stderr


def test_patterns__a_packet_has_the_time_of_its_arrival() -> None:
    # the kernel may begin to stamp packets late; then the first ones would get the time when they are read
    (played,) = play_all([PATTERNS["peer_dead"]])
    times = [frame.ts_ns for frame in played.frames]
    assert times == sorted(times)
    assert 1.2e9 < times[-1] - times[0] < 3e9
