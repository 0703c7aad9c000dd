"""Packets that two sensors saw, recognised in the merged order of their captures, so that each is counted once.

Two segments are the same packet if all of their headers but TTL and VLAN agree (IP id included), if different captures
have them, and if they lie within a window. The second copy of a capture answers to the second of another: a packet that
was sent twice and seen twice by both sensors stays sent twice.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from lastack.app.sightings import same_key
from lastack.model.batch import META_ICMP
from lastack.tracking.memory import RAW

_SENSOR = np.uint64(48)  # bits of a packet's number in its origin
_COPIES = 6  #: copies of a packet that are looked back at: of three sensors, two each


class Duplicates:
    """Leaves out what another capture had, over stretches that follow each other.

    Args:
        window_ns: Two copies are at most so far apart, in the order of merging.

    Attributes:
        window_ns: As given.
        count: Segments left out.
    """

    def __init__(self, window_ns: int) -> None:
        self.count = 0
        self.window_ns = window_ns
        self._keys = np.empty(0, np.uint64)
        self._times = np.empty(0, np.int64)
        self._sensors = np.empty(0, np.uint64)

    def once(self, segments: Any, times: Any) -> Any:
        """Return those segments that no other capture had before.

        Args:
            segments: Array of SEGMENT with sensors in their origins, in the order of merging.
            times: Time of each in that order, never falling.
        """
        if not len(segments):
            return segments
        before = len(self._keys)
        keys = np.concatenate([self._keys, same_key(segments)])
        times = np.concatenate([self._times, times])
        sensors = np.concatenate([self._sensors, segments["origin"] >> _SENSOR])
        again = self._again(keys, times, sensors)[before:]
        recent = times >= times[-1] - self.window_ns
        self._keys, self._times, self._sensors = keys[recent], times[recent], sensors[recent]
        self.count += int((again & ((segments["meta"] & META_ICMP) == 0)).sum())
        return segments.view(RAW)[~again].view(segments.dtype)

    def _again(self, keys: Any, times: Any, sensors: Any) -> Any:
        """Tell for each segment whether another sensor has had more copies of it before than its own."""
        order = np.argsort(keys, kind="stable")
        keys, times, sensors = keys[order], times[order], sensors[order]
        near = []
        for lag in range(1, _COPIES + 1):
            near.append(self._before(keys, times, lag))
            if not near[-1].any():
                break  # then none is further back either
        own = np.zeros(len(keys), np.int64)
        for lag, is_copy in enumerate(near, 1):
            own += is_copy & (_back(sensors, lag) == sensors)
        most = np.zeros(len(keys), np.int64)
        for lag, is_copy in enumerate(near, 1):
            sensor = _back(sensors, lag)
            count = np.zeros(len(keys), np.int64)
            for other, also in enumerate(near, 1):
                count += also & (_back(sensors, other) == sensor)
            most = np.where(is_copy & (sensor != sensors), np.maximum(most, count), most)
        again = np.empty(len(keys), bool)
        again[order] = own < most
        return again

    def _before(self, keys: Any, times: Any, lag: int) -> Any:
        """Tell where the segment so many places before is a copy within the window."""
        found = np.zeros(len(keys), bool)
        found[lag:] = (keys[lag:] == keys[:-lag]) & (times[lag:] - times[:-lag] <= self.window_ns)
        return found


def _back(values: Any, lag: int) -> Any:
    """Return the values shifted by some places; what is shifted in means nothing."""
    return np.concatenate([values[:lag], values[:-lag]]) if lag < len(values) else values
