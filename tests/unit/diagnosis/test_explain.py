"""Every session can be explained: a sentence, a packet that proves it, and words that stay modest."""

from __future__ import annotations

from typing import Any

import pytest
from tests.matrix.cases import SCRIPTS
from tests.unit.diagnosis.rows import everything, table_of

from lastack.diagnosis.explain import explain
from lastack.diagnosis.rules import ACCUSING, BY_CAUSE
from lastack.model.enums import Cause

NAMES = sorted(path.name for path in SCRIPTS.glob("*__*.pkts"))


def check(row: dict[str, Any]) -> None:
    verdict = explain(row)
    assert verdict.cause.name == row["cause"]
    assert verdict.sentence
    assert not verdict.sentence.endswith(".")
    assert any(fact.packet for fact in verdict.proof), "no packet proves it"
    moments = [fact.time_ns for fact in verdict.proof if fact.time_ns is not None]
    assert moments == sorted(moments)
    causes = [other.cause for other in verdict.alternatives if other.possible]
    assert verdict.cause not in causes
    possible = [other.possible for other in verdict.alternatives]
    assert possible == sorted(possible, reverse=True)
    if verdict.cause in ACCUSING:
        assert "consistent with" in verdict.sentence
        assert causes, "an accusation names what else it may be"


@pytest.mark.parametrize("row", everything().to_pylist(), ids=lambda row: row["cause"])
def test_explain__of_captures(row: dict[str, Any]) -> None:
    check(row)


@pytest.mark.parametrize("name", NAMES)
def test_explain__of_timelines(name: str) -> None:
    for row in table_of(name).to_pylist():
        check(row)


def test_explain__names_the_packets_of_the_rst_and_of_what_it_answers() -> None:
    (row,) = table_of("peer_lost_state__fires.pkts").to_pylist()
    packets = [fact.packet for fact in explain(row).proof if fact.packet]
    assert packets == [7, 8]


def test_explain__tells_the_signs_of_an_injected_reset() -> None:
    (row,) = table_of("injected_reset__fires_by_ttl_and_ipid.pkts").to_pylist()
    verdict = explain(row)
    assert "TTL is 61" in verdict.sentence
    assert "IP-ID is 30000" in verdict.sentence


def test_explain__a_black_hole_after_a_silence_may_be_a_box() -> None:
    (row,) = table_of("middlebox_half_closed_timeout__near_miss.pkts").to_pylist()
    verdict = explain(row)
    assert verdict.cause is Cause.peer_vanished
    assert any(o.cause is Cause.middlebox_half_closed_timeout and o.possible for o in verdict.alternatives)


def test_explain__the_silence_is_that_before_the_repeats_not_between_them() -> None:
    (row,) = table_of("peer_vanished__fires_after_a_silence.pkts").to_pylist()
    assert max(gap["gap_ns"] for gap in row["gaps"]) > 20 * 10**9  # between two repeats
    reasons = [other.reason for other in explain(row).alternatives if other.cause in ACCUSING]
    assert any("a silence of 10 s" in reason for reason in reasons)


def test_rules__there_is_one_for_every_cause() -> None:
    assert set(BY_CAUSE) == set(Cause)


def test_explain__a_handshake_that_the_server_never_took_blames_no_application() -> None:
    (row,) = table_of("aborted_by_server__fires_on_a_handshake_it_never_took.pkts").to_pylist()
    verdict = explain(row)
    assert "repeated its SYN-ACK 2 times though it was acknowledged" in verdict.sentence
    assert "622 bytes of the client" in verdict.sentence
    assert "TcpExtListenOverflows" in verdict.advice[0]


@pytest.mark.parametrize(
    ("name", "told"),
    [("data_after_close__fires_with_harm_on_a_late_answer", True), ("data_after_close__fires", False)],
)
def test_explain__says_when_the_closer_did_not_wait_for_an_answer(name: str, told: bool) -> None:
    (row,) = table_of(f"{name}.pkts").to_pylist()
    verdict = explain(row)
    assert ("closed before any answer" in verdict.sentence) is told
    assert ("connection pool" in verdict.advice[0]) is not told


@pytest.mark.parametrize(("name", "told"), [("fires_after_a_silence", True), ("fires", False)])
def test_explain__a_reset_after_a_silence_may_be_a_timer(name: str, told: bool) -> None:
    (row,) = table_of(f"reset_close__{name}.pkts").to_pylist()
    verdict = explain(row)
    assert ("after 1 min 2 s of silence" in verdict.sentence) is told
    assert ("idle timer" in verdict.advice[0]) is told


def test_explain__a_close_with_bytes_left_is_not_called_harmless() -> None:
    (row,) = table_of("clean_close__fires_with_bytes_left.pkts").to_pylist()
    verdict = explain(row)
    assert "1 byte of the server had not been acknowledged" in verdict.sentence
    assert [other.cause for other in verdict.alternatives] == [Cause.observer_limit]


def test_explain__an_open_session_that_outlived_a_reset_says_so() -> None:
    (row,) = table_of("injected_rst_without_ack.pkts").to_pylist()
    verdict = explain(row)
    assert verdict.cause is Cause.still_open
    assert verdict.confidence == pytest.approx(0.6)
    assert "the server sent a RST that, as far as was seen, did not end it" in verdict.sentence


@pytest.mark.parametrize(("name", "download"), [("fires", True), ("fires_on_last_words", False)])
def test_explain__a_few_bytes_are_no_download(name: str, download: bool) -> None:
    (row,) = table_of(f"stopped_reading__{name}.pkts").to_pylist()
    assert ("a cancelled download" in explain(row).sentence) is download
