"""What one session tells about timers, and a whole search from rows of the record to a claim."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tests.unit.query.rows import rows
from tests.unit.replay.population import people

from lastack.replay.columns import NEVER
from lastack.replay.deaths import How, Kind, Told, told_by

S = 10**9
T0 = 1_700_000_000 * S


def session(gap_s: float, sent: tuple[int, int], total: tuple[int, int], **more: Any) -> dict[str, Any]:
    """Return an established session with one long silence, after which the packets from `sent` to `total` came."""
    start = T0 + 2 * S
    gap = {
        "phase": "established", "start_ns": start, "gap_ns": int(gap_s * S), "bytes_clt": 10, "bytes_srv": 10,
        "packets_clt": sent[0], "packets_srv": sent[1], "longest": True, "unacked": False, "stalled": False,
        "fin_again": False,
        "next": "data", "next_by": "client",
    }  # fmt: skip
    return {
        "start_ns": T0, "end_ns": start + int((gap_s + 5) * S), "ct_ns": 10**6, "syn_to_synack_ns": 5 * 10**5,
        "packets_clt": total[0], "packets_srv": total[1], "ending": "open", "opening": "established",
        "state_clt": "ESTABLISHED", "state_srv": "ESTABLISHED", "gaps": [gap], "syn_clt": 1, "synack_srv": 1, **more,
    }  # fmt: skip


def _told(*given: dict[str, Any]) -> Told:
    return told_by(rows(*given), Kind.idle)


def _rst(gap_s: float, after_s: float, by: str) -> dict[str, Any]:
    closed = {"state_clt": "CLOSED", "state_srv": "CLOSED", "ending": "rst", "rst_seq": "exact"}
    return {**closed, "first_rst_ns": T0 + int((2 + gap_s + after_s) * S), f"rst_{by}": 1}


@pytest.mark.parametrize(
    ("given", "how"),
    [
        (session(400, (5, 5), (8, 8)), How.alive),
        (session(400, (5, 5), (9, 5)), How.silence),
        (session(400, (5, 5), (5, 9)), How.silence),
        (session(400, (5, 5), (6, 5)), How.alive),  # one packet at the very end: the capture may have ended
        (session(400, (5, 5), (6, 6), **_rst(400, 0.02, "srv")), How.rst_on_next),
        (session(400, (5, 5), (6, 6), **_rst(400, 60, "srv")), How.alive),  # a minute later: its own reset
        (session(400, (5, 5), (6, 5), **_rst(400, 0, "clt")), How.rst_at_expiry),
        (session(400, (5, 5), (7, 7), **_rst(400, 0.02, "srv")), How.alive),  # it spoke before it reset
    ],
)
def test_death__how(given: dict[str, Any], how: How) -> None:
    told = _told(given)
    assert told.how.tolist() == [how]
    assert (told.killed[0] == 400 * S) == (how != How.alive)


def test_death__a_silence_with_talk_of_both_after_it_was_survived() -> None:
    told = _told(session(100, (5, 5), (8, 8)), session(400, (5, 5), (9, 5)))
    assert told.survived.tolist() == [100 * S, 0]
    assert told.killed.tolist() == [NEVER, 400 * S]


def test_search__finds_the_timer_of_a_path_from_rows(tmp_path: Any) -> None:
    from lastack.app.grouped import open_source
    from lastack.app.timers import search_timers
    from lastack.store.manifest import Run
    from lastack.store.writer import DatasetWriter

    rng = np.random.default_rng(5)
    given = []
    for pause in people(rng, 1500):
        if pause < 5:
            continue
        behind = len(given) % 2 == 0
        total = (9, 5) if behind and pause >= 350 else (8, 8)
        server = f"10.2.0.{1 + len(given) % 7}" if behind else f"192.0.2.{1 + len(given) % 7}"
        given.append(
            {**session(float(pause), (5, 5), total), "server_ip": server, "session_id": len(given) + 1}
        )
    path = tmp_path / "rows"
    with DatasetWriter(path) as writer:
        writer.write(rows(*given))
        writer.finish(Run(first_ns=T0, last_ns=T0 + 10**13))
    with open_source([str(path)]) as source:
        ((found, matching),) = search_timers(source).found
    assert (found.kind, found.scope, found.place) == (Kind.idle, "server network", "10.2.0.0/24")
    assert found.estimate_ns == pytest.approx(350 * S, rel=0.05)
    assert "aws_nlb" in [match.profile for match in matching]
