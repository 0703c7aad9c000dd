"""The rungs of a ladder: relative numbers, states after each packet, marks, and what is folded."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.naive.script import Reader
from tests.naive.write import write

import lastack
from lastack.app.slice import find_packets
from lastack.model.batch import SEGMENT
from lastack.tracking.ladder import Fold, Rung, ladder
from lastack.tracking.relative import _unwrapped
from lastack.tracking.selection import shown_places

SCRIPTS = Path(__file__).parents[2] / "scripts"
CAPTURES = Path(__file__).parents[2] / "captures"


def steps_of(path: Path, place: int = 0, most: int | None = None, always: Any = ()) -> list[Rung | Fold]:
    row = lastack.track(path, threads=1).table.to_pylist()[place]
    found = find_packets(row, [str(path)], threads=1)
    return list(ladder(found.segments, found.owner, found.session, row, most, always))


def rungs_of_script(text: str, place: int = 0) -> list[Rung]:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "x.pcap", Reader("x").read(text).packets)
        return [step for step in steps_of(path, place) if isinstance(step, Rung)]


def test_rung__states_follow_the_handshake_and_the_close() -> None:
    rungs = rungs_of_script((SCRIPTS / "close_client_first.pkts").read_text(encoding="utf-8"))
    pairs = [(rung.state_clt.name, rung.state_srv.name) for rung in rungs]
    assert pairs[:3] == [("SYN_SENT", "UNKNOWN"), ("ESTABLISHED", "SYN_RECEIVED"), ("ESTABLISHED",) * 2]
    assert pairs[-1] == ("TIME_WAIT", "CLOSED")


@pytest.mark.parametrize("path", sorted(CAPTURES.glob("*.pcap")), ids=lambda path: path.stem)
def test_ladder__ends_in_the_states_of_the_record(path: Path) -> None:
    for place, row in enumerate(lastack.track(path, threads=1).table.to_pylist()[:6]):
        steps = [step for step in steps_of(path, place) if isinstance(step, Rung)]
        assert (steps[-1].state_clt.name, steps[-1].state_srv.name) == (row["state_clt"], row["state_srv"])
        own = [step for step in steps if step.icmp is None]
        assert sum(step.from_client for step in own) == row["packets_clt"]
        assert sum(step.payload for step in own if not step.flags & 4) == row["bytes_clt"] + row["bytes_srv"]
        again = sum("again" in step.marks for step in own)
        assert again == row["retx_packets_clt"] + row["retx_packets_srv"]


def test_rung__numbers_do_not_wrap() -> None:
    rungs = rungs_of_script((SCRIPTS / "wrap_in_the_data.pkts").read_text(encoding="utf-8"))
    assert rungs[0].seq == 0
    assert all(0 <= rung.seq < 10_000 and 0 <= (rung.ack or 0) < 10_000 for rung in rungs)


def test_rung__midstream_numbers_begin_at_one() -> None:
    rungs = rungs_of_script("0.0 > PA 100 seq=7000 ack=9000\n0.1 < PA 50 seq=9000 ack=7100\n0.2 > A\n")
    assert [(rung.seq, rung.ack) for rung in rungs] == [(1, 1), (1, 101), (101, 51)]


def test_rung__window_is_scaled_when_both_syns_say_how() -> None:
    rungs = rungs_of_script(
        "0 > S wscale=7 win=1000\n0.1 < SA wscale=2 win=1000\n0.2 > A win=10\n0.3 < A win=10\n"
    )
    assert [(rung.window, rung.scaled) for rung in rungs] == [
        (1000, True),
        (1000, True),
        (1280, True),
        (40, True),
    ]
    assert not rungs_of_script("0 > PA 5 seq=5 ack=5 win=9\n0.1 < A\n")[0].scaled


def test_rung__marks_say_what_is_special() -> None:
    rungs = rungs_of_script(
        "0 > S\n0.1 < SA\n0.2 > A\n0.3 > PA 100\n0.4 > PA 100 seq=-100\n0.5 > PA 100 seq=+200\n"
        "0.6 > PA 100 seq=-300\n0.65 > PA 100 seq=-50\n0.7 < A win=0\n"
    )
    marks = [rung.marks for rung in rungs[3:]]
    assert marks[:5] == [(), ("again",), ("ahead",), ("late",), ("overlaps",)]
    assert marks[-1] == ("zero window",)


def test_rung__probe_of_a_shut_window_is_marked() -> None:
    last = [step for step in steps_of(CAPTURES / "zero_window_death.pcap") if isinstance(step, Rung)][-3:]
    assert [step.marks for step in last] == [("probe",)] * 3


def test_rung__icmp_error_is_one() -> None:
    steps = steps_of(CAPTURES / "rejected_icmp.pcap")
    assert isinstance(steps[1], Rung)
    assert steps[1].icmp == (3, 13)
    assert steps[1].from_client


def talk(packets: int) -> str:
    lines = ["0 > S", "0.1 < SA", "0.2 > A", f"0.3 > PA 1000 times={packets} every=0.001"]
    return "\n".join([*lines, "20 < A", "20.1 > FA", "20.2 < FA", "20.3 > A"])


def test_fold__sums_are_those_of_the_packets_it_stands_for() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "x.pcap", Reader("x").read(talk(500)).packets)
        whole, folded = steps_of(path), steps_of(path, most=30)
    fold = [step for step in folded if isinstance(step, Fold)]
    hidden = len(whole) - sum(isinstance(step, Rung) for step in folded)
    assert sum(step.packets for step in fold) == hidden
    assert sum(step.bytes_clt for step in fold) == 1000 * hidden
    assert len(folded) <= 33


def test_fold__silences_flags_and_proof_stay_visible() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "x.pcap", Reader("x").read(talk(500)).packets)
        shown = [step for step in steps_of(path, most=20, always={250}) if isinstance(step, Rung)]
    numbers = {step.origin for step in shown}
    assert {1, 2, 3, 250, 505, 506, 507} <= numbers
    assert any(step.silence_ns > 10_000_000_000 for step in shown)


@pytest.mark.parametrize("flags", [0x10, 0x02, 0x04])
def test_selection__keeps_to_the_number_whatever_comes(flags: int) -> None:
    segments = np.zeros(5000, SEGMENT)
    segments["tcp_flags"] = flags
    segments["ts_ns"] = np.arange(5000) * 2_000_000_000
    assert 20 <= len(shown_places(segments, 20)) <= 60
    assert len(shown_places(segments, None)) == 5000


def test_unwrapped__follows_the_trusted_numbers() -> None:
    values = np.array([0xFFFFFFF0, 0x10, 5, 0x20], np.uint32)
    trusted = np.array([True, True, False, True])
    assert _unwrapped(values, trusted, 0xFFFFFFF0).tolist() == [0, 32, 21, 48]
