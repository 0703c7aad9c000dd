from __future__ import annotations

import itertools
import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.query.rows import random_rows, rows

from lastack.model.address import parse_address
from lastack.model.units import NS_PER_S
from lastack.query.overview import Overview
from lastack.query.quantiles import Quantiles
from lastack.query.survey import COLUMNS, Survey
from lastack.query.top import Sums

T0 = 1_700_000_000 * NS_PER_S
OPENED = {"opening": "established"}


def surveyed(*given: dict[str, Any], last_ns: int | None = None) -> Overview:
    survey = Survey()
    survey.add(rows(*given))
    return survey.overview(last_ns)


def opened(name: str, **more: Any) -> dict[str, Any]:
    return {"opening": name, "ending": "never_opened", **more}


# --- ledger -----------------------------------------------------------------------------------------------


def test_ledger__attempts_are_all_whose_syn_was_seen() -> None:
    names = ["refused", "refused_icmp", "unanswered", "half_open", "aborted"]
    ledger = surveyed(
        *[opened(name) for name in names], {}, {"opening": "simultaneous"}, last_ns=T0 * 2
    ).ledger
    assert (ledger.attempts, ledger.established, ledger.residual) == (7, 2, 0)
    assert ledger.failures == {**dict.fromkeys(names, 1), "pending": 0}


def test_ledger__midstream_and_strays_stand_beside() -> None:
    ledger = surveyed({"opening": "midstream"}, opened("stray"), opened("synack_only")).ledger
    assert (ledger.attempts, ledger.midstream, ledger.strays, ledger.synack_only) == (0, {"closed": 1}, 1, 1)
    assert ledger.sessions == 2


def test_ledger__syn_in_the_last_second_is_pending() -> None:
    old, new = opened("unanswered", end_ns=T0), opened("unanswered", end_ns=T0 + 2 * NS_PER_S)
    ledger = surveyed(old, new, last_ns=T0 + 2 * NS_PER_S + 5).ledger
    assert (ledger.failures["unanswered"], ledger.failures["pending"]) == (1, 1)


def test_ledger__pending_is_decided_by_the_end_whatever_the_order() -> None:
    survey = Survey()
    for end in (T0 + 9 * NS_PER_S, T0, T0 + 9 * NS_PER_S + 5):
        survey.add(rows(opened("unanswered", end_ns=end)))
    assert survey.overview().ledger.failures["pending"] == 2


def test_ledger__what_does_not_add_up_is_shown() -> None:
    assert surveyed({"opening": "established", "ending": "never_opened"}).ledger.ending_residual == 1


# --- resets -----------------------------------------------------------------------------------------------


def test_resets__by_when_who_and_cost() -> None:
    resets = surveyed(
        {**OPENED, "ending": "closed_rst", "close_order": "Ffr", "harm": "none", "rst_srv": 1},
        {**OPENED, "ending": "rst", "close_order": "R", "harm": "data_lost", "rst_clt": 1},
        opened("refused", close_order="r", harm="open_failed", rst_srv=1),
    ).resets
    assert resets["after_close"]["server"]["harmless"] == 1
    assert resets["mid_session"]["client"]["harmful"] == 1
    assert resets["refused"]["server"]["harmful"] == 1
    assert sum(n for kind in resets.values() for side in kind.values() for n in side.values()) == 3


def test_resets__strays_are_not_counted() -> None:
    resets = surveyed(opened("stray", close_order="R", rst_clt=1)).resets
    assert not any(n for kind in resets.values() for side in kind.values() for n in side.values())


# --- waiting ----------------------------------------------------------------------------------------------


def test_waiting__age_runs_to_the_end_of_the_capture() -> None:
    row = {**OPENED, "ending": "half_closed", "first_fin_ns": T0}
    waiting = surveyed(row, last_ns=T0 + 30 * NS_PER_S).half_closed
    assert waiting.ages.maximum == 30 * NS_PER_S
    assert waiting.oldest[0]["age_ns"] == 30 * NS_PER_S


# --- top lists --------------------------------------------------------------------------------------------


def test_servers__others_and_total_add_up() -> None:
    given_rows = [{**OPENED, "server_port": port} for port in range(40) for _ in range(1 + port % 3)]
    top = surveyed(*given_rows).servers
    shown = sum(row.sums["sessions"] for row in top.rows)
    assert shown + top.others["sessions"] == top.total["sessions"] == len(given_rows)
    assert top.keys == 40


def test_servers__refused_and_unanswered_are_failures() -> None:
    row = surveyed({}, opened("refused"), opened("unanswered")).servers.rows[0]
    assert row.key == (parse_address("192.0.2.1"), 443)
    assert {k: row.sums[k] for k in ("attempts", "established", "refused", "unanswered", "failed")} == {
        "attempts": 3,
        "established": 1,
        "refused": 1,
        "unanswered": 1,
        "failed": 2,
    }


def test_sums__totals_are_true_when_keys_are_folded() -> None:
    sums = Sums(("k",), ("n",), "n", capacity=100)
    rng = np.random.default_rng(1)
    whole = 0
    for _ in range(50):
        keys, values = rng.integers(0, 10_000, 200), rng.integers(0, 9, 200)
        sums.add({"k": pa.array(np.append(keys, 77_777)), "n": np.append(values, 500)})
        whole += int(values.sum()) + 500
    top = sums.top("n", 3)
    assert top.total["n"] == whole
    assert top.folded > 0
    assert (top.rows[0].key, top.rows[0].sums["n"]) == ((77_777,), 25_000)


# --- independence of cuts ---------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 5), st.lists(st.integers(0, 400), max_size=6))
def test_survey__cutting_and_merging_changes_nothing(seed: int, cuts: list[int]) -> None:
    batch = random_rows(400, seed)
    whole = Survey()
    whole.add(batch)
    edges = sorted({0, 400, *cuts})
    parts = []
    for start, end in itertools.pairwise(edges):
        part = Survey()
        part.add(batch.slice(start, end - start))
        parts.append(part)
    random.Random(seed).shuffle(parts)
    merged = Survey()
    for part in parts:
        merged.merge(part)
    assert merged.overview().to_json() == whole.overview().to_json()


def test_survey__reads_no_column_that_it_does_not_name() -> None:
    batch = random_rows(50).select(list(COLUMNS))
    survey = Survey()
    survey.add(batch)
    assert survey.overview().ledger.sessions + survey.overview().ledger.strays == 50


# --- percentiles ------------------------------------------------------------------------------------------


def test_quantiles__small_ones_are_exact() -> None:
    quantiles = Quantiles()
    quantiles.add(np.arange(1, 101))
    p = quantiles.percentiles()
    assert (p.minimum, p.p50, p.p90, p.p99, p.maximum, p.exact) == (1, 50, 90, 99, 100, True)


@pytest.mark.parametrize("order", ["sorted", "shuffled", "falling"])
def test_quantiles__thinned_ones_are_near(order: str) -> None:
    values = np.arange(200_000)
    if order == "shuffled":
        np.random.default_rng(0).shuffle(values)
    elif order == "falling":
        values = values[::-1]
    quantiles = Quantiles(capacity=4096)
    for part in np.split(values, 100):
        quantiles.add(part)
    p = quantiles.percentiles()
    assert not p.exact
    assert p.p50 == pytest.approx(100_000, abs=600)
    assert p.p99 == pytest.approx(198_000, abs=600)
    assert (p.minimum, p.maximum, p.count) == (0, 199_999, 200_000)


def test_quantiles__nothing_is_unknown() -> None:
    assert Quantiles().percentiles().p50 is None
