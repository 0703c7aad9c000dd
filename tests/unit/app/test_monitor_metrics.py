"""Metrics have the names and error types of OpenTelemetry's proposal, and no addresses that were found out."""

from __future__ import annotations

import pytest
from prometheus_client import generate_latest

from lastack.app.monitor_metrics import MonitorMetrics, error_type
from lastack.prober.health import Health, Schedule
from lastack.prober.monitor import Watched
from lastack.prober.outcome import Opening, Result


@pytest.mark.parametrize(
    ("result", "version", "word"),
    [
        (Result(Opening.refused), 4, "refused"),
        (Result(Opening.filtered), 4, "timed-out"),
        (Result(Opening.unreachable, icmp_type=3, icmp_code=1), 4, "host-unreachable"),
        (Result(Opening.unreachable, icmp_type=3, icmp_code=0), 4, "net-unreachable"),
        (Result(Opening.unreachable, icmp_type=11, icmp_code=0), 4, "other"),
        (Result(Opening.unreachable, icmp_type=1, icmp_code=0), 6, "net-unreachable"),
        (Result(Opening.unreachable, icmp_type=1, icmp_code=3), 6, "host-unreachable"),
        (Result(Opening.unreachable, icmp_type=3, icmp_code=0), 6, "other"),
        (Result(Opening.unreachable, detail="ENETUNREACH"), 4, "net-unreachable"),
        (
            Result(Opening.unreachable, detail="no answer to ARP or neighbour discovery"),
            4,
            "host-unreachable",
        ),
        (Result(Opening.failed, detail="ECONNRESET after 0 bytes"), 4, "reset"),
        (Result(Opening.failed, detail="silence after our FIN"), 4, "other"),
        (Result(Opening.error), 4, "unknown"),
    ],
)
def test_error_type__is_a_word_of_the_proposal(result: Result, version: int, word: str) -> None:
    assert error_type(result, version) == word


def test_exposition__has_names_and_bounded_labels() -> None:
    metrics, target = MonitorMetrics(), Watched("web", "192.0.2.7", 80, "g")
    health = Health(Schedule(down_after=1), 0)
    for result in (
        Result(Opening.up, 2_000_000),
        Result(Opening.unreachable, 1000, 1, 3, 0, "198.51.100.9", "network unreachable"),
    ):
        metrics.count(target, result, health.offer(result, 1), 1.0)
    text = generate_latest(metrics.registry).decode()
    role = 'error_type="net-unreachable",network_tcp_handshake_role="client"'
    assert f"system_network_tcp_connection_failures_total{{{role}}} 1.0" in text
    assert 'lastack_target_up{group="g",module="syn",target="web"} 0.0' in text
    assert "198.51.100.9" not in text
