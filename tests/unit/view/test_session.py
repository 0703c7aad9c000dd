"""The page of one session: it says everything, fits, and looks as people saw it last."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from tests.naive.script import read_script
from tests.naive.write import write
from tests.unit.query.rows import random_rows, rows

import lastack
from lastack.app.show import explained, numbered
from lastack.app.slice import find_packets
from lastack.diagnosis.verdict import Alternative, Proof, Verdict
from lastack.model.enums import Actor, Cause, EndpointState, Harm, Phase
from lastack.model.fields import FIELDS
from lastack.tracking.ladder import Fold, Rung, ladder
from lastack.view.ladder import render_ladder
from lastack.view.page import Page
from lastack.view.record import ELSEWHERE, GROUPS, PAIRS
from lastack.view.session import Look, render_session
from lastack.view.verdict import add_verdict, verdict_json

CAPTURES = Path(__file__).parents[2] / "captures"
SCRIPTS = Path(__file__).parents[2] / "scripts"
SNAPSHOTS = (
    "half_close_with_data",
    "refused",
    "unanswered_icmp",
    "zero_window_probes",
    "retransmission_and_overlap",
)
VERDICT = Verdict(
    Cause.injected_reset,
    "injected reset",
    "consistent with a RST that somebody else made",
    0.7,
    Actor.middlebox,
    Harm.data_lost,
    "data may be lost",
    (Proof(12, 1_000_000_500, "its TTL is 9 below"), Proof(0, None, "another fact")),
    (
        Alternative(Cause.aborted_by_server, True, "the server may have two paths"),
        Alternative(Cause.clean_close, False, "there is no FIN"),
    ),
    ("capture at the server",),
)


def page_of(name: str, place: int = 0, most: int | None = 40, **look: object) -> str:
    path = str(CAPTURES / f"{name}.pcap")
    row = lastack.track(path, threads=1).table.to_pylist()[place]
    found = find_packets(row, [path], threads=1)
    verdict = numbered(explained(row), found)
    steps = list(ladder(found.segments, found.owner, found.session, row, most))
    return render_session(row, verdict, steps, found.captures, Look(**{"colour": False, **look}))  # type: ignore[arg-type]


def rung(**values: object) -> Rung:
    usual: dict[str, object] = {
        "origin": 1, "time_ns": 0, "since_ns": 0, "silence_ns": 0, "from_client": True, "flags": 16, "seq": 1,
        "ack": 1, "payload": 0, "window": 100, "scaled": True, "ttl": 64, "ipid": 1,
        "state_clt": EndpointState.ESTABLISHED, "state_srv": EndpointState.ESTABLISHED,
        "phase": Phase.established, "marks": (),
    }  # fmt: skip
    return Rung(**{**usual, **values})  # type: ignore[arg-type]


# --- the record and the verdict ---------------------------------------------------------------------------


def test_record__every_field_is_on_the_page() -> None:
    named = {name for _, names in GROUPS for name in names} | {name for pair in PAIRS for name in pair[1:]}
    assert named | set(ELSEWHERE) == {field.name for field in FIELDS}


@pytest.mark.parametrize("record", [False, True])
def test_session__random_rows_are_shown(record: bool) -> None:
    for row in random_rows(60, 3, extreme=True).to_pylist():
        assert "→" in render_session(row, VERDICT, look=Look(80, False, record=record))


def test_verdict__says_proof_alternatives_and_advice() -> None:
    page = Page(80, False)
    add_verdict(page, VERDICT, 1_000_000_000, {12: "RST"})
    lines = page.text().splitlines()
    assert lines[0].endswith("injected reset · by something between them · confidence 70 %")
    assert "  Consistent with a RST that somebody else made." in lines
    assert "  ● 12  +500 ns  RST  its TTL is 9 below" in lines
    assert "  clean close  there is no FIN" in lines[lines.index("Less likely") :]
    assert "  aborted by server  the server may have two paths" in lines[lines.index("Still possible") :]
    assert "  Capture at the server." in lines


@pytest.mark.parametrize(
    ("cause", "title", "said"),
    [
        (Cause.observer_limit, "not seen", "not seen · confidence 70 %"),
        (Cause.aborted_by_server, "aborted by the server", "aborted by the server · confidence 70 %"),
        (Cause.refused, "refused", "refused · by the server · confidence 70 %"),
    ],
)
def test_verdict__says_who_where_the_title_does_not(cause: Cause, title: str, said: str) -> None:
    page = Page(80, False)
    found = replace(VERDICT, cause=cause, title=title, actor=Actor.server)
    add_verdict(page, found, 1_000_000_000)
    assert page.text().splitlines()[0].endswith(said)
    assert page.text().splitlines()[0].split() == ["Verdict", *said.split()]


def test_verdict__as_json_has_names_and_nulls() -> None:
    content = verdict_json(VERDICT)
    assert content["proof"][1] == {"packet": None, "time_ns": None, "shows": "another fact"}
    assert content["alternatives"][0]["cause"] == "aborted_by_server"


def test_proof__known_by_its_time_gets_its_number() -> None:
    assert "second FIN was acknowledged" in page_of("half_close_client")
    assert page_of("half_close_client").count("●") >= 4


# --- the ladder -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_ladder__snapshot(name: str) -> None:
    """To accept a new look: `python -m tests.unit.view.test_session`."""
    for width in (80, 120):
        expected = (Path(__file__).parent / "ladders" / f"{name}-{width}.txt").read_text(encoding="utf-8")
        assert drawn(name, width) == expected


def drawn(name: str, width: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = str(write(Path(folder) / "x.pcap", read_script(SCRIPTS / f"{name}.pkts").packets))
        row = lastack.track(path, threads=1).table.to_pylist()[0]
        found = find_packets(row, [path], threads=1)
        steps = list(ladder(found.segments, found.owner, found.session, row, 40))
    return render_ladder(steps, width, False, {1})


@pytest.mark.parametrize("width", [60, 72, 80, 100, 120, 132])
def test_ladder__fits_every_width(width: int) -> None:
    far = [
        rung(origin=9_999_999, seq=4_000_000_000, ack=3_000_000_000, payload=65_000, since_ns=86_400 * 10**9)
    ]
    near = [rung(marks=("again", "zero window"), state_srv=EndpointState.SYN_RECEIVED, silence_ns=10**12)]
    fold = [Fold(100, 200, 10**9, 10**10, 3, 4, 10**12, 10**11)]
    text = render_ladder([*far, *near, *fold, *far], width)
    assert max(map(len, text.splitlines())) <= width


def test_ladder__names_a_state_only_where_it_changes() -> None:
    text = render_ladder([rung(), rung(origin=2), rung(origin=3, state_clt=EndpointState.CLOSED)], 120)
    assert text.count("ESTABLISHED") == 2
    assert text.count("CLOSED") == 1


def test_ladder__silence_and_fold_have_lines_of_their_own() -> None:
    text = render_ladder([rung(), Fold(3, 1, 500, 0, 1, 0, 2 * 10**9, 0), rung(silence_ns=45 * 10**9)], 80)
    assert "⋮  4 packets in 2 s, 500 B →, 1 again" in text
    assert "45 s idle" in text


def test_ladder__clock_that_runs_back_is_said() -> None:
    assert "clock -5 s" in render_ladder([rung(since_ns=9 * 10**9), rung(since_ns=4 * 10**9)], 80)


def test_ladder__packets_of_several_captures_say_which() -> None:
    text = render_ladder([rung(), rung(origin=1 << 48 | 7)], 80, captures=("a", "b"))
    assert "A:1 " in text
    assert "B:7 " in text


# --- the page ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["half_close_client", "syn_flood", "retransmitted", "keepalive_death", "vxlan"]
)
@pytest.mark.parametrize("width", [80, 120])
def test_page__fits(name: str, width: int) -> None:
    assert max(map(len, page_of(name, width=width).splitlines())) <= width


def test_page__ascii_is_ascii_and_keeps_its_columns() -> None:
    drawn, plain = page_of("half_close_client"), page_of("half_close_client", ascii=True)
    assert plain.isascii()
    assert [len(line) for line in plain.splitlines()] == [len(line) for line in drawn.splitlines()]
    assert "|- FIN ACK" in plain


def test_page__colour_only_where_it_is_wanted() -> None:
    assert "\x1b" not in page_of("refused")
    assert "\x1b[31m" in page_of("refused", colour=True)


def test_page__long_ends_leave_the_id_to_the_next_line() -> None:
    ends = {"client_ip": "2001:638:902:1:201:2ff:fee2:7596", "server_ip": "2002:5183:4383:1:2:3:5183:4383"}
    row = rows({**ends, "session_id": 2**63 - 1}).to_pylist()[0]
    lines = render_session(row, VERDICT, look=Look(80, False)).splitlines()
    assert lines[1] == f"  session {2**63 - 1}"
    assert max(map(len, lines)) <= 80


def test_page__one_way_row_without_packets() -> None:
    row = rows({"observed": "one_way", "opening": "midstream"}).to_pylist()[0]
    assert "Ladder" not in render_session(row, VERDICT, look=Look(80, False))


if __name__ == "__main__":
    folder = Path(__file__).parent / "ladders"
    folder.mkdir(exist_ok=True)
    for case in SNAPSHOTS:
        for columns in (80, 120):
            (folder / f"{case}-{columns}.txt").write_text(drawn(case, columns), encoding="utf-8")
