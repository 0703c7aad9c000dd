"""The metrics of a monitor, in Prometheus' form; labels are names of the configuration, never addresses found out."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from lastack.prober.health import Change, State
from lastack.prober.monitor import Watched
from lastack.prober.outcome import Opening, Result

_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
#: Our results in the words of OpenTelemetry's proposal for TCP (semantic-conventions, issue 3682).
ERROR_TYPES = {
    Opening.refused: "refused",
    Opening.unreachable: "host-unreachable",
    Opening.filtered: "timed-out",
    Opening.failed: "other",
    Opening.error: "unknown",
}
#: ICMP errors that speak of a network (RFC 792, RFC 1812: 3/0, 3/6, 3/9, 3/11) or of a missing route (RFC 4443: 1/0).
_OF_A_NETWORK = {(3, 0), (3, 6), (3, 9), (3, 11), (1, 0)}
#: A hop limit that was exceeded: IPv4 type 11; IPv6 type 3, whose codes are IPv4's for networks and hosts.
_HOP_LIMIT = 11


def error_type(result: Result, version: int = 4) -> str:
    """Return the `error.type` of a result that is not up.

    Args:
        result: What came.
        version: Of IP: its ICMP types differ.
    """
    if result.opening is Opening.failed and "ECONNRESET" in result.detail:
        return "reset"
    if result.opening is Opening.unreachable:
        kind = result.icmp_type
        if kind == _HOP_LIMIT or (version == 6 and kind == 3):
            return "other"
        if (kind, result.icmp_code) in _OF_A_NETWORK or result.detail in ("ENETUNREACH", "ENETDOWN"):
            return "net-unreachable"
    return ERROR_TYPES[result.opening]


class MonitorMetrics:
    """Counts what a monitor sees."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("target", "group", "module")
        self._up = Gauge("lastack_target_up", "1 while the target is up.", labels, registry=self.registry)
        self._since = Gauge(
            "lastack_target_state_changed_timestamp_seconds",
            "When its state changed.",
            labels,
            registry=self.registry,
        )
        self._rtt = Gauge(
            "lastack_target_rtt_seconds", "Last time from SYN to answer.", labels, registry=self.registry
        )
        self._results = Counter(
            "lastack_probe_results",
            "Probes by result.",
            ("group", "module", "result"),
            registry=self.registry,
        )
        self._failures = Counter(
            "system_network_tcp_connection_failures",
            "Connections that could not be opened.",
            ("error_type", "network_tcp_handshake_role"),
            registry=self.registry,
        )
        self._changes = Counter(
            "lastack_target_changes", "Changes of state.", ("group", "to"), registry=self.registry
        )
        self._times = Histogram(
            "lastack_probe_rtt_seconds",
            "Time from SYN to answer.",
            ("group", "module"),
            buckets=_BUCKETS_S,
            registry=self.registry,
        )

    def count(self, target: Watched, result: Result, change: Change | None, now_s: float) -> None:
        """Count one result.

        Args:
            target: Whose.
            result: What came.
            change: The change of state that it brought.
            now_s: Unix time.
        """
        self._results.labels(target.group, target.module, result.opening.value).inc()
        if not result.up:
            version = 6 if ":" in (result.reporter or target.host) else 4
            self._failures.labels(error_type(result, version), "client").inc()
        labels = (target.name, target.group, target.module)
        if result.rtt_ns is not None:
            self._rtt.labels(*labels).set(result.rtt_ns / 1e9)
            self._times.labels(target.group, target.module).observe(result.rtt_ns / 1e9)
        if change is not None:
            self._up.labels(*labels).set(1 if change.after is State.up else 0)
            self._since.labels(*labels).set(now_s)
            self._changes.labels(target.group, change.after.value).inc()
