"""The metrics of a watch, in Prometheus' form; labels are words of ours and of the configuration, never addresses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from lastack.diagnosis.columns import Columns
from lastack.model.enums import Cause, Ending, Observed, Opening
from lastack.model.units import NS_PER_S
from lastack.tracking.standing import Standing

_HANDSHAKE_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_OLDER_S = (1, 10, 60, 300, 3600, 14400)
_ESTABLISHED = (Opening.established, Opening.simultaneous)


class WatchMetrics:
    """Counts what a watch sees."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._opened = _Total("lastack_sessions_opened", "Sessions that began.", registry)
        self._established = _Total(
            "lastack_sessions_established", "Sessions whose handshake was seen to complete.", registry
        )
        self._packets = _Total("lastack_packets", "Packets read.", registry)
        self._drops = _Total(
            "lastack_capture_drops", "Packets that the kernel dropped before they were read.", registry
        )
        self._evicted = _Total("lastack_sessions_evicted", "Sessions that left a full table early.", registry)
        self._lost = _Total(
            "lastack_rows_lost", "Finished sessions that the disk refused for too long.", registry
        )
        self._ended = Counter(
            "lastack_sessions_ended", "Sessions that left, by ending and cause.", ("ending", "cause"),
            registry=registry,
        )  # fmt: skip
        self._opening = Counter(
            "lastack_sessions_openings", "Sessions that left, by how they opened.", ("opening",),
            registry=registry,
        )  # fmt: skip
        self._observed = Counter(
            "lastack_sessions_observed", "Sessions that left, by how much of them was seen.", ("observed",),
            registry=registry,
        )  # fmt: skip
        self._resets = Counter(
            "lastack_resets", "RST packets of sessions that left, by side.", ("side",), registry=registry
        )
        self._standing = Gauge(
            "lastack_sessions_standing", "Sessions in the table.", ("state",), registry=registry
        )
        self._ages = Gauge(
            "lastack_half_closed_older_sessions", "Half-closed sessions whose first FIN is older.",
            ("seconds",), registry=registry,
        )  # fmt: skip
        self._oldest = Gauge(
            "lastack_half_closed_oldest_seconds", "Time since the oldest first FIN.", registry=registry
        )
        self._up = Gauge("lastack_interface_up", "1 while the interface is up.", registry=registry)
        self._writing = Gauge("lastack_dataset_writable", "0 while the disk refuses.", registry=registry)
        self._firing = Gauge("lastack_alert_firing", "1 while a rule fires.", ("alert",), registry=registry)
        self._handshake = Histogram(
            "lastack_handshake_seconds", "Time from SYN to the ACK that completes the handshake.",
            buckets=_HANDSHAKE_S, registry=registry,
        )  # fmt: skip
        self.endings: dict[str, int] = {}
        self.causes: dict[str, int] = {}
        self._done = 0

    def count(self, batch: Any) -> None:
        """Count the rows of a record batch: sessions that left."""
        cols = Columns(batch)
        if not cols.n:
            return
        opening = cols.code("opening")
        sessions = opening != int(Opening.stray)
        endings, causes = cols.code("ending")[sessions], cols.code("cause")[sessions]
        pairs, counts = np.unique(endings.astype(np.int64) * 256 + causes, return_counts=True)
        for pair, n in zip(pairs.tolist(), counts.tolist(), strict=True):
            ending, cause = Ending(pair >> 8).name, Cause(pair & 255).name
            self._ended.labels(ending, cause).inc(n)
            self.endings[ending] = self.endings.get(ending, 0) + n
            self.causes[cause] = self.causes.get(cause, 0) + n
        for family, values, words in (
            (self._opening, opening[sessions], Opening),
            (self._observed, cols.code("observed")[sessions], Observed),
        ):
            for code, n in zip(
                *(part.tolist() for part in np.unique(values, return_counts=True)), strict=True
            ):
                family.labels(words(code).name).inc(n)
        for side in ("clt", "srv"):
            if resets := int(cols.number(f"rst_{side}").sum()):
                self._resets.labels({"clt": "client", "srv": "server"}[side]).inc(resets)
        done = np.isin(opening, [int(kind) for kind in _ESTABLISHED])
        self._done += int(done.sum())
        timed = cols.present("ct_ns")
        self._observe(cols.number("ct_ns")[timed] / NS_PER_S)

    def _observe(self, seconds: Any) -> None:
        """Add many times at once: as many calls as there are buckets would need one for each session."""
        places = np.searchsorted(np.array(_HANDSHAKE_S), seconds, "left")
        for bucket, n in enumerate(np.bincount(places, minlength=len(_HANDSHAKE_S) + 1).tolist()):
            if n:
                self._handshake._buckets[bucket].inc(n)
        self._handshake._sum.inc(float(seconds.sum()))

    def stand(self, standing: Standing, totals: Mapping[str, int], *, up: bool, writable: bool) -> None:
        """Show what stands in the table now.

        Args:
            standing: Sessions by class.
            totals: `opened`, `packets`, `drops`, `evicted`, `lost` since the start.
            up: Whether the interface is.
            writable: Whether the dataset is.
        """
        for name in ("established", "half_open", "half_closed", "closed"):
            self._standing.labels(name).set(getattr(standing, name))
        ages = standing.half_closed_ages_s
        every = np.concatenate(ages) if ages else np.empty(0)
        for seconds in _OLDER_S:
            self._ages.labels(str(seconds)).set(int((every > seconds).sum()))
        self._oldest.set(float(every.max()) if len(every) else 0.0)
        self._opened.reach(totals["opened"])
        self._packets.reach(totals["packets"])
        self._drops.reach(totals["drops"])
        self._evicted.reach(totals["evicted"])
        self._lost.reach(totals["lost"])
        self._established.reach(self._done + standing.handshakes)
        self._up.set(1 if up else 0)
        self._writing.set(1 if writable else 0)

    def alert(self, name: str, firing: bool) -> None:
        """Show whether a rule fires."""
        self._firing.labels(name).set(1 if firing else 0)


class _Total:
    """A counter that follows a total counted elsewhere, and never goes back."""

    def __init__(self, name: str, text: str, registry: CollectorRegistry) -> None:
        self._counter = Counter(name, text, registry=registry)
        self._value = 0

    def reach(self, value: int) -> None:
        if value > self._value:
            self._counter.inc(value - self._value)
            self._value = value
