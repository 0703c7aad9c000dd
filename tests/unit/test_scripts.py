"""Every timeline in tests/scripts holds, on the slow twin and on the real engine."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.naive.engines import Engine, fast, naive, naive_through_file
from tests.naive.script import Reader, ScriptError, read_script, run_script

FOLDER = Path(__file__).resolve().parents[1] / "scripts"
SCRIPTS = sorted(path.stem for path in FOLDER.glob("*.pkts"))
ENGINES = [
    pytest.param(naive, id="twin"),
    pytest.param(naive_through_file, id="twin-file"),
    pytest.param(fast(), id="fast"),
]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", SCRIPTS)
def test_script__holds(name: str, engine: Engine) -> None:
    assert run_script(FOLDER / f"{name}.pkts", engine) == []


@pytest.mark.parametrize("name", SCRIPTS)
def test_script__expects_something_of_its_last_packet(name: str) -> None:
    script = read_script(FOLDER / f"{name}.pkts")
    assert script.expectations
    assert script.expectations[-1].packets == len(script.packets)


def test_script__there_are_many() -> None:
    assert len(SCRIPTS) >= 60


# The five errors that flow tools make again and again, and a sixth: each is a script of its own.


@pytest.mark.parametrize("engine", ENGINES)
def test_known_error_1__first_fin_is_not_the_end(engine: Engine) -> None:
    assert run_script(FOLDER / "error1_first_fin_is_not_the_end.pkts", engine) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_known_error_2__rst_frees_both_ends(engine: Engine) -> None:
    assert run_script(FOLDER / "error2_rst_frees_both_ends.pkts", engine) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_known_error_3__rst_after_fin_is_not_ignored(engine: Engine) -> None:
    assert run_script(FOLDER / "error3_rst_after_fin_is_not_ignored.pkts", engine) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_known_error_4__last_ack_opens_no_ghost(engine: Engine) -> None:
    assert run_script(FOLDER / "error4_last_ack_opens_no_ghost.pkts", engine) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_known_error_5__ending_needs_sequence_numbers(engine: Engine) -> None:
    assert run_script(FOLDER / "error5_ending_needs_sequence_numbers.pkts", engine) == []


@pytest.mark.parametrize("engine", ENGINES)
def test_known_error_6__lone_rst_is_no_session(engine: Engine) -> None:
    assert run_script(FOLDER / "error6_lone_rst_is_no_session.pkts", engine) == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0.0 > SX", "s.pkts:1: cannot read '0.0 > SX': 'X'"),
        ("0.0 > S sequence=1", "s.pkts:1: cannot read '0.0 > S sequence=1': no option sequence"),
        ("expect colour=red", "s.pkts:1: cannot read 'expect colour=red': no field colour"),
    ],
)
def test_script__bad_line_is_named(line: str, message: str) -> None:
    with pytest.raises(ScriptError) as caught:
        Reader("s.pkts").read(line)
    assert str(caught.value) == message
