"""Servers by sessions that left in the last minutes, in bounded memory: what a screen shows of them."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from lastack.diagnosis.columns import Columns
from lastack.model.address import format_address
from lastack.model.enums import Harm, Opening

_MINUTES = 5
_MOST = 4_096  # servers of a minute; of more, those with fewest sessions are forgotten
_UNHARMED = (int(Harm.none), int(Harm.unknown))

#: Address and port of a server as 18 bytes.
_Server = bytes


class TopServers:
    """Counts sessions and those that took harm, by server.

    Args:
        clock: Returns seconds that never go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._minutes: deque[tuple[int, dict[_Server, tuple[int, int]]]] = deque(maxlen=_MINUTES)

    def add(self, batch: Any) -> None:
        """Count the rows of a record batch."""
        cols = Columns(batch)
        rows = np.flatnonzero(cols.code("opening") != int(Opening.stray))
        if not len(rows):
            return
        harmed = ~np.isin(cols.code("harm")[rows], _UNHARMED)
        keys = np.zeros((len(rows), 18), np.uint8)
        addresses = np.ascontiguousarray(cols.address("server_ip"), "S16")
        keys[:, :16] = addresses.view(np.uint8).reshape(-1, 16)[rows]
        keys[:, 16:] = cols.number("server_port")[rows].astype(">u2").view(np.uint8).reshape(-1, 2)
        found, places = np.unique(keys.view("V18").ravel(), return_inverse=True)
        sessions = np.bincount(places, minlength=len(found))
        hurt = np.bincount(places, weights=harmed, minlength=len(found))
        now = int(self._clock() // 60)
        if not self._minutes or self._minutes[-1][0] != now:
            self._minutes.append((now, {}))
        counts = self._minutes[-1][1]
        for server, n, m in zip(found.tolist(), sessions.tolist(), hurt.tolist(), strict=True):
            before = counts.get(server, (0, 0))
            counts[server] = (before[0] + n, before[1] + int(m))
        if len(counts) > _MOST:
            kept = sorted(counts.items(), key=lambda item: -item[1][0])[: _MOST // 2]
            self._minutes[-1] = (now, dict(kept))

    def first(self, most: int) -> list[tuple[str, int, int]]:
        """Return the servers with most sessions, as text, sessions and how many of them took harm.

        Args:
            most: How many servers.
        """
        since = int(self._clock() // 60) - _MINUTES
        whole: dict[_Server, tuple[int, int]] = {}
        for minute, counts in list(self._minutes):
            if minute > since:
                for server, (n, m) in counts.copy().items():
                    before = whole.get(server, (0, 0))
                    whole[server] = (before[0] + n, before[1] + m)
        ordered = sorted(whole.items(), key=lambda item: (-item[1][0], item[0]))[:most]
        return [(_text(server), n, m) for server, (n, m) in ordered]


def _text(server: _Server) -> str:
    address, port = format_address(server[:16]), int.from_bytes(server[16:], "big")
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
