"""Attempts to open a session, as columns: free of the compiler, for what only asks about finished rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Attempts:
    """Attempts to open a session, as columns.

    Attributes:
        server_ip: 16 bytes each (S16).
        server_port: uint16.
        client_ip: 16 bytes each (S16).
        start_ns: int64, ns since epoch.
    """

    server_ip: Any
    server_port: Any
    client_ip: Any
    start_ns: Any

    def __len__(self) -> int:
        return len(self.start_ns)
