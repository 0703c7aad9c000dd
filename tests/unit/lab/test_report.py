"""What the two ends told, put together."""

from __future__ import annotations

from typing import Any

import pytest

from lastack.lab.traffic.plan import FlowPlan
from lastack.lab.traffic.report import FlowReport, summarise
from lastack.lab.traffic.steps import Steps
from lastack.model.errors import UsageError
from lastack.view.page import Page
from lastack.view.traffic import flows_csv, render_flows

S = 10**9


def a_flow(near: dict[str, Any], far: dict[str, Any], number: int = 1, **plan: Any) -> FlowReport:
    return FlowReport(
        number,
        FlowPlan(**({"down_bytes": 100} | plan)),
        Steps(**({"begun_ns": 5 * S, "outcome": "done"} | near)),
        Steps(**({"begun_ns": 5 * S, "outcome": "done"} | far)),
    )


def a_stopped_flow(number: int = 1, last_s: float = 3.0) -> FlowReport:
    return a_flow(
        {
            "fin_sent_ns": 6 * S,
            "last_received_ns": round((5 + last_s) * S),
            "received": 40,
            "outcome": "stopped",
        },
        {"fin_seen_ns": 6 * S, "sent": 100, "unacked": 60, "outcome": "stopped"},
        number,
        close="half-close",
    )


def test_report__a_flow_stopped_when_its_last_byte_arrived() -> None:
    found = a_stopped_flow().finding()
    assert (found.outcome, found.first_fin_by, found.first_fin_ns) == ("stopped", "near", S)
    assert (found.stopped_ns, found.after_fin_ns, found.done_ns) == (3 * S, 2 * S, None)


def test_report__done_needs_both_ends() -> None:
    done = {"closed_ns": 7 * S}
    assert a_flow(done | {"received": 100}, done).finding().outcome == "done"
    assert a_flow(done | {"received": 100}, {"outcome": "unknown"}).finding().outcome == "unknown"


def test_report__a_reset_tells_more_than_silence() -> None:
    assert a_flow({"outcome": "stopped"}, {"outcome": "reset"}).finding().outcome == "reset"


def test_report__when_all_has_arrived_only_the_closing_can_have_stopped() -> None:
    report = a_flow({"received": 100}, {"outcome": "stopped", "sent": 100})
    assert report.finding().outcome == "not closed"


def test_report__a_row_counts_from_the_begin_of_the_flow() -> None:
    row = a_stopped_flow().row()
    assert (row["near_begun_ns"], row["near_fin_sent_ns"], row["far_closed_ns"]) == (0, S, None)


def test_summary__each_way_of_closing_has_its_own() -> None:
    reports = [a_stopped_flow(1, 3), a_stopped_flow(2, 4), a_flow({"received": 100}, {}, 3)]
    first, second = summarise(reports)
    assert (first.close, first.outcomes, first.stopped_after_fin_ns) == (
        "half-close", {"stopped": 2}, (2 * S, round(2.5 * S), 3 * S),
    )  # fmt: skip
    assert (second.close, second.good(), second.bytes_received) == ("when-finished", True, 100)


def test_table__says_when_a_flow_stopped_after_the_fin() -> None:
    text = render_flows([a_stopped_flow()], page=Page(100, False))
    assert "half-close: 1 flow, 1 stopped; the last byte came 2 s after the first FIN; 40 B of 100 B" in text


def test_csv__has_a_line_a_flow() -> None:
    head, *lines = flows_csv([a_stopped_flow(1), a_stopped_flow(2)]).splitlines()
    assert head.startswith("flow,near_address")
    assert [line[:2] for line in lines] == ["1,", "2,"]


@pytest.mark.parametrize(
    "told",
    [
        None,
        {"sent": "many"},
        {"sent": None},
        {"begun_ns": "now"},
        {"outcome": 3},
        {"colour": 1},
        {"sent": True},
    ],
)
def test_steps__what_another_program_tells_is_checked(told: Any) -> None:
    with pytest.raises(UsageError):
        Steps.from_json(told, 0)


def test_steps__come_in_the_receivers_time() -> None:
    assert Steps.from_json({"begun_ns": 100, "sent": 5}, 30) == Steps(begun_ns=70, sent=5)
