"""How the clocks of sensors differ: estimated from packets that two of them saw, or from handshakes out of order.

A packet that travels from one sensor to the other appears later by the difference of the clocks and the way; one that
travels back by the difference less the way. Of flows seen in both directions the mean is the difference, and half of
what separates them bounds the error, as in NTP (RFC 5905, section 8). Nothing is corrected here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import pairwise
from pathlib import PurePath
from typing import Any, Self

import numpy as np

from lastack.app.sightings import Sightings, joined
from lastack.model.batch import ACK, SYN
from lastack.model.errors import UsageError
from lastack.store.manifest import ClockDifference

_LEAST_PACKETS = 4  # seen by both, below which nothing is said
_LEAST_FLOWS = 3
_DRIFT_SPAN_NS = 60 * 10**9
_DRIFT_FLOWS = 20
_ROTATION_NS = 10**9  # packets at a rotation may be out of order by less
_MOST_PAIRS = 1000
_SIGMA = 1.4826  # of a normal distribution, in median absolute deviations
_KINDS = SYN | ACK


@dataclass(frozen=True, slots=True)
class Seen:
    """A capture and its sample.

    Attributes:
        name: Of the capture.
        first_ns: Time of its first packet.
        last_ns: Of its last.
        sample: Array of SIGHTING.
        limit: Ranks below are in the sample.
    """

    name: str
    first_ns: int
    last_ns: int
    sample: Any
    limit: int

    @classmethod
    def of(cls, name: str, sightings: Sightings) -> Self:
        """Return a capture that was read as a whole."""
        return cls(name, sightings.first_ns, sightings.last_ns, sightings.array, sightings.limit)


def clock_differences(captures: Iterable[Seen]) -> list[ClockDifference]:
    """Return how the clocks of sensors differ, for each two that have something in common, largest first.

    Rotated files of one sensor, which do not overlap in time, are taken together.
    """
    sensors = _sensors([capture for capture in captures if len(capture.sample)])
    found = []
    for first, second in _pairs(sensors):
        one = _by_packets(first, second) or _by_handshakes(first, second) or _by_handshakes(second, first)
        if one is not None:
            found.append(one)
    return sorted(found, key=lambda pair: -abs(pair.offset_ns))


def offsets_of(paths: Sequence[str], wanted: Mapping[str, int]) -> dict[str, int]:
    """Return what is to be taken off the times of each capture that a name or pattern of `--clock-offset` means.

    Raises:
        UsageError: One means no capture.
    """
    found: dict[str, int] = {}
    for pattern, offset_ns in wanted.items():
        meant = [path for path in paths if pattern in (path, PurePath(path).name)]
        meant = meant or [
            path for path in paths if fnmatchcase(path, pattern) or fnmatchcase(PurePath(path).name, pattern)
        ]
        if not meant:
            raise UsageError(
                f"--clock-offset {pattern}: no capture is called so; name one, such as {PurePath(paths[0]).name}"
            )
        found |= dict.fromkeys(meant, offset_ns)
    return found


def _sensors(captures: Sequence[Seen]) -> list[Seen]:
    groups: dict[str, list[Seen]] = {}
    for capture in captures:
        groups.setdefault(re.sub(r"\d+", "#", capture.name), []).append(capture)
    sensors: list[Seen] = []
    for group in groups.values():
        group.sort(key=lambda capture: capture.first_ns)
        apart = all(a.last_ns <= b.first_ns + _ROTATION_NS for a, b in pairwise(group))
        for files in [group] if apart else [[capture] for capture in group]:
            sample, limit = joined([(capture.sample, capture.limit) for capture in files])
            name = files[0].name
            sensors.append(Seen(name, files[0].first_ns, files[-1].last_ns, sample, limit))
    return sensors


def _pairs(sensors: Sequence[Seen]) -> list[tuple[Seen, Seen]]:
    """Return the pairs of sensors that saw packets of the same flow, those with most flows first."""
    flows = [np.unique(sensor.sample["rank"]) for sensor in sensors]
    ranks = np.concatenate([np.empty(0, np.uint32), *flows])
    owners = np.repeat(np.arange(len(sensors)), [len(flow) for flow in flows])
    order = np.argsort(ranks, kind="stable")
    ranks, owners = ranks[order], owners[order]
    # Of a flow that three sensors saw, the first with the second, the second with the third.
    common = ranks[1:] == ranks[:-1]
    codes, counts = np.unique(owners[:-1][common] * len(sensors) + owners[1:][common], return_counts=True)
    most = codes[np.argsort(-counts, kind="stable")][:_MOST_PAIRS]
    return [(sensors[int(code) // len(sensors)], sensors[int(code) % len(sensors)]) for code in most]


def _once(sample: Any) -> Any:
    """Return what a sensor saw once, sorted by key: of repeated packets it is not known which is which."""
    sample = sample[np.argsort(sample["key"], kind="stable")]
    same = sample["key"][1:] == sample["key"][:-1]
    repeated = np.concatenate([[False], same]) | np.concatenate([same, [False]])
    return sample[~repeated]


def _by_packets(first: Seen, second: Seen) -> ClockDifference | None:
    """Return the difference that packets seen by both tell, if there are enough."""
    one, two = _once(first.sample), _once(second.sample)
    _, at_one, at_two = np.intersect1d(one["key"], two["key"], assume_unique=True, return_indices=True)
    if len(at_one) < _LEAST_PACKETS:
        return None
    one, two = one[at_one], two[at_two]
    late = two["ts_ns"] - one["ts_ns"]
    flows, flow = np.unique(one["rank"], return_inverse=True)
    ways = []
    base = late[0]  # sums of differences stay exact in double precision
    for from_hi in (0, 1):
        mine = one["from_hi"] == from_hi
        number = np.bincount(flow[mine], minlength=len(flows))
        total = np.bincount(flow[mine], weights=(late[mine] - base).astype(float), minlength=len(flows))
        with np.errstate(invalid="ignore", divide="ignore"):
            ways.append(total / number)
    both = ~np.isnan(ways[0]) & ~np.isnan(ways[1])
    times = np.bincount(flow, weights=(one["ts_ns"] - one["ts_ns"][0]).astype(float)) / np.bincount(flow)
    if both.sum() >= _LEAST_FLOWS:
        each, times = (ways[0] + ways[1])[both] / 2, times[both]
        way: float | None = float(np.median(np.abs(ways[0] - ways[1])[both])) / 2
    else:
        each, times = (late - base).astype(float), (one["ts_ns"] - one["ts_ns"][0]).astype(float)
        way = None
    middle = float(np.median(each))
    spread = _SIGMA * float(np.median(np.abs(each - middle)))
    drift, drift_error = _drift(times, each)
    offset = round(middle) + int(base)
    uncertainty = round(2 * spread / len(each) ** 0.5 + (way or 0.0))
    shared = _shared(first, second, len(one))
    return ClockDifference(
        first.name,
        second.name,
        offset,
        uncertainty,
        "packets" if way is not None else "packets_one_way",
        len(one),
        shared,
        drift,
        drift_error,
        abs(offset) - uncertainty > _quickest_ns(first, second),
    )


def _drift(times: Any, each: Any) -> tuple[float | None, float | None]:
    """Return how fast the difference grows, in parts per million, and the standard error; None if it is too short."""
    if len(each) < _DRIFT_FLOWS or np.ptp(times) < _DRIFT_SPAN_NS:
        return None, None
    centred = times - times.mean()
    squares = float((centred**2).sum())
    slope = float((centred * (each - each.mean())).sum()) / squares
    rest = each - each.mean() - slope * centred
    error = (float((rest**2).sum()) / (len(each) - 2) / squares) ** 0.5
    return round(slope * 1e6, 4), round(error * 1e6, 4)


def _shared(first: Seen, second: Seen, common: int) -> float:
    """Return which part of the smaller sensor's packets the other saw too."""
    limit = min(first.limit, second.limit)
    least = min(int((sensor.sample["rank"] < limit).sum()) for sensor in (first, second))
    return round(min(1.0, common / max(least, 1)), 4)


def _quickest_ns(*sensors: Seen) -> int:
    """Return the shortest time from a SYN to its answer at one of the sensors: a larger difference swaps packets."""
    shortest = [int(gaps.min()) for sensor in sensors if len(gaps := _answers(sensor.sample, sensor.sample))]
    return min((gap for gap in shortest if gap > 0), default=0)


def _answers(asking: Any, answering: Any) -> Any:
    """Return the times from each SYN of one sample to its SYN-ACK in another."""
    syns = asking[(asking["tcp_flags"] & _KINDS) == SYN]
    answers = answering[(answering["tcp_flags"] & _KINDS) == _KINDS]
    if not len(syns) or not len(answers):
        return np.empty(0, np.int64)
    syns = syns[np.argsort(syns["ts_ns"], kind="stable")]
    asked = syns["rank"].astype(np.uint64) << np.uint64(32) | (syns["seq"] + np.uint32(1))
    told = answers["rank"].astype(np.uint64) << np.uint64(32) | answers["ack"]
    asked, first = np.unique(asked, return_index=True)  # of SYNs sent again, the first
    place = np.minimum(np.searchsorted(asked, told), len(asked) - 1)
    pair = asked[place] == told
    return answers["ts_ns"][pair] - syns["ts_ns"][first[place[pair]]]


def _by_handshakes(first: Seen, second: Seen) -> ClockDifference | None:
    """Return the least difference that explains answers of one sensor that come before the SYN of the other."""
    gaps = _answers(first.sample, second.sample)
    impossible = np.sort(gaps[gaps < 0])
    if len(impossible) < _LEAST_FLOWS:
        return None  # a lone one may be the answer to a SYN that was not captured
    least = int(impossible[_LEAST_FLOWS - 1])
    return ClockDifference(
        first.name, second.name, least, 0, "handshakes", len(impossible), 0.0, None, None, True
    )
