from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.unit.query.rows import random_rows, rows

from lastack.model.units import NS_PER_S
from lastack.query.survey import Survey
from lastack.store.manifest import Run
from lastack.view.cells import endpoint, instant, share
from lastack.view.findings import findings_of
from lastack.view.overview import render_overview
from lastack.view.table import SessionTable

T0 = 1_700_000_000 * NS_PER_S


def overview(*given: dict[str, Any], last_ns: int | None = None) -> Any:
    survey = Survey()
    survey.add(rows(*given))
    return survey.overview(last_ns)


def refused(count: int) -> list[dict[str, Any]]:
    return [
        {
            "opening": "refused",
            "ending": "never_opened",
            "close_order": "r",
            "rst_srv": 1,
            "harm": "open_failed",
        }
    ] * count


def table(
    folder: Path, *given: dict[str, Any], columns: tuple[str, ...] = SessionTable.default_columns
) -> list[str]:
    exporter = SessionTable(str(folder / "out"), columns)
    exporter.write(rows(*given))
    exporter.close()
    return (folder / "out").read_text(encoding="utf-8").splitlines()


# --- findings ---------------------------------------------------------------------------------------------


def test_finding__refused_server_is_a_sentence_with_its_filter() -> None:
    found = findings_of(overview(*refused(12), *[{"opening": "established"}] * 328))
    assert found[0].text.startswith("12 of 340 attempts to connect to 192.0.2.1:443 were refused")
    assert (
        found[0].where == "server.ip = 192.0.2.1 and server.port = 443 and opening in {refused, refused_icmp}"
    )


def test_finding__harmless_resets_are_none() -> None:
    harmless = {"ending": "closed_rst", "close_order": "Ffr", "rst_srv": 1, "harm": "none"}
    assert findings_of(overview({}, harmless)) == []


def test_finding__scanner_is_named_instead_of_its_targets() -> None:
    failed = [{**row, "server_port": port} for port, row in enumerate(refused(50))]
    texts = [finding.text for finding in findings_of(overview(*failed))]
    assert texts == [
        "All 50 attempts of 10.0.0.1 failed: a scan, or a client that is configured wrongly",
    ]


def test_finding__half_closed_tells_the_oldest_age() -> None:
    row = {"ending": "half_closed", "first_fin_ns": T0}
    assert (
        "half-closed when the capture ends, for 35 min 0 s"
        in findings_of(overview(row, last_ns=T0 + 2100 * NS_PER_S))[0].text
    )


def test_finding__speaks_of_one_session_in_the_singular() -> None:
    texts = [
        finding.text for finding in findings_of(overview({"cause": "peer_lost_state", "harm": "data_lost"}))
    ]
    assert texts == [
        "1 session met an end that had forgotten it: a crash, a restart, or an address that moved",
        "1 session may have lost data when it ended",
    ]


@pytest.mark.parametrize(
    ("half_closed_ms", "told"), [(0.4, False), (999, False), (1000, True), (60_000, True)]
)
def test_finding__half_close_is_worth_a_word_when_a_timer_may_run_out(
    half_closed_ms: float, told: bool
) -> None:
    row = {"ending": "closed", "half_closed_bytes": 31, "half_closed_ns": int(half_closed_ms * 1_000_000)}
    found = findings_of(overview(row))
    assert [finding.where for finding in found] == ["half_closed_bytes > 0 and half_closed >= 1s"] * told


# --- the page ---------------------------------------------------------------------------------------------


def page(view: Any, run: Run | None = None, width: int = 80) -> str:
    return render_overview(view, run or Run(("x.pcap",), packets=1, segments=1), ["x.pcap"], width, False)


def test_page__fits_80_columns() -> None:
    survey = Survey()
    survey.add(random_rows(3000, 2))
    assert max(map(len, page(survey.overview()).splitlines())) <= 100
    v4 = overview({}, *refused(3), {"opening": "midstream"})
    assert max(map(len, page(v4).splitlines())) <= 80


def test_page__says_when_packets_are_nowhere() -> None:
    assert "3 packets are in none of these" in page(overview({}), Run(packets=10, segments=7))


def test_page__nothing_stands_out_is_said() -> None:
    assert "Nothing: 1 of 1 attempt connected." in page(overview({}))


def test_page__empty_capture() -> None:
    assert "There is no TCP session in it." in page(Survey().overview(), Run())


def test_page__without_colour_has_no_escape() -> None:
    assert "\x1b" not in page(overview(*refused(3)))


# --- the table --------------------------------------------------------------------------------------------


def test_table__one_line_a_session(tmp_path: Path) -> None:
    head, line = table(tmp_path, {"first_closer": "client"})
    assert head.split()[:4] == ["start", "UTC", "client", "server"]
    assert line.split()[:6] == ["22:13:20.000", "10.0.0.1:40000", "192.0.2.1:443", "closed", "clt", "1.5"]


def test_table__failed_opening_is_the_outcome(tmp_path: Path) -> None:
    assert "refused" in table(tmp_path, refused(1)[0])[1]


def test_table__session_met_in_the_middle_is_marked(tmp_path: Path) -> None:
    assert "~closed" in table(tmp_path, {"opening": "midstream"})[1]


def test_table__asked_columns_are_shown_in_their_order(tmp_path: Path) -> None:
    head, line = table(tmp_path, {}, columns=("ending", "client_ip", "ct_ns"))
    assert (head.split(), line.split()) == (["ending", "client_ip", "ct_ns"], ["closed", "10.0.0.1", "-"])


@pytest.mark.parametrize(
    ("number", "whole", "text"),
    [(0, 5, "0 %"), (5, 5, "100 %"), (1, 5000, "<0.1 %"), (4999, 5000, ">99.9 %"), (1, 0, "-")],
)
def test_share__never_rounds_to_nothing_or_all(number: int, whole: int, text: str) -> None:
    assert share(number, whole) == text


def test_instant__beyond_the_calendar_is_a_number() -> None:
    assert instant(2**63 - 1).startswith("2262-")
    assert instant(-(2**63)).startswith("1677-")


def test_endpoint__v6_has_brackets() -> None:
    assert endpoint(bytes(15) + b"\x01", 80) == "[::1]:80"
