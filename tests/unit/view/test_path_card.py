"""The card of a path test says what was found, what was not asked, and never more than is known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from lastack.prober.answer import PathAnswer, answer_json
from lastack.prober.facts import Facts, Untested
from lastack.prober.findings import Expiry, Finding, Kind
from lastack.prober.question import QUESTIONS, Topic
from lastack.prober.requirement import parse_requirement
from lastack.prober.search import Bound
from lastack.prober.trial import Via
from lastack.view.path_card import render_path

S = 10**9
FOUND = {
    question.name: Finding(
        question.name, question.title, question.topic, question.via, Bound(2 * S, 2 * S + 4_000_000, 40, 9, 0),
        Kind.idle if question.talks else Kind.unknown, Expiry.silent, 6 * S, 49,
    )
    for question in QUESTIONS
}  # fmt: skip


def card(
    *findings: Finding, facts: Facts | None = None, required: tuple[tuple[str, bool | None], ...] = ()
) -> str:
    return render_path(answer(*findings, facts=facts, required=required), 100, colour=False)


def answer(
    *findings: Finding, facts: Facts | None = None, required: tuple[tuple[str, bool | None], ...] = ()
) -> PathAnswer:
    wanted = tuple((parse_requirement(text), held) for text, held in required)
    return PathAnswer("192.0.2.2:7011", findings, facts or Facts(), (), wanted, True)


def test_every_question__has_its_row_and_its_member() -> None:
    text, body = card(*FOUND.values()), answer_json(answer(*FOUND.values()))
    for question in QUESTIONS:
        assert question.title in text
    assert {one["name"] for one in body["findings"]} == {question.name for question in QUESTIONS}
    assert {one["opened_by"] for one in body["findings"]} == {"here", "responder"}


def test_the_other_opener__is_told_once_if_it_makes_no_difference() -> None:
    here, there = FOUND["half_close_client"], FOUND["reverse_half_close_client"]
    assert "it is the same" in card(here, there)
    other = replace(there, bound=Bound(4 * S, 5 * S, 40, 9, 0))
    assert "it is the same" not in card(here, other)
    assert "Opened by the other end: after the client's FIN the other direction lasts 4.000 s" in " ".join(
        card(here, other).split()
    )


def test_what_was_not_asked__is_said_with_its_reason() -> None:
    untested = Untested(("opening_syn",), "opening time", "this end needs CAP_NET_RAW: run it as root")
    text = " ".join(card(FOUND["idle_client"], facts=Facts(untested=[untested])).split())
    assert "Not tested: opening time. Why: this end needs CAP_NET_RAW: run it as root." in text


def test_odd_segments__are_shares_of_trials() -> None:
    one = replace(FOUND["rst_window_server"], rst_seen=0, samples=5, bound=Bound(300, None, 5, 0, 0))
    two = replace(FOUND["rst_exact_server"], rst_seen=4, samples=5, bound=Bound(None, 300, 0, 5, 0))
    rows = card(one, two).splitlines()
    assert next(row for row in rows if one.title in row).split()[-3:] == ["dropped", "passes", "5"]
    assert "4 of 5 pass" in next(row for row in rows if two.title in row)


def test_too_few_trials__are_not_decided() -> None:
    lost = replace(FOUND["opening_syn"], samples=2, bad={"the opening segments got lost": 40})
    assert "not decided" in card(lost)
    assert not lost.conclusive


@pytest.mark.parametrize(
    ("required", "code"),
    [((), 0), ((True,), 0), ((True, False), 1), ((None,), 3), ((None, False), 1), ((True, None), 3)],
)
def test_exit_code__is_that_of_the_worst_requirement(required: tuple[bool | None, ...], code: int) -> None:
    wanted = tuple(("idle>=1s", held) for held in required)
    assert answer(FOUND["idle_client"], required=wanted).exit_code == code


def test_exit_code__of_nothing_conclusive_is_3() -> None:
    assert answer(replace(FOUND["idle_client"], samples=0)).exit_code == 3


def test_topics_and_ways__are_all_used() -> None:
    assert {question.topic for question in QUESTIONS} == set(Topic)
    assert {question.via for question in QUESTIONS} == set(Via)
