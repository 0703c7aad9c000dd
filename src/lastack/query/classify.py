"""Puts zone and application into columns: tables are made once, rows are looked up in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from lastack.model.arrow import arrow_type
from lastack.model.fields import BY_NAME
from lastack.query.columns import address_words, column, numbers
from lastack.query.zones import UNCLASSIFIED, Classes

_VLANS = 4096
_PORTS = 65_536
_LARGEST_TABLE = 1 << 22
_LAST = b"\xff" * 16


class Classifier:
    """Fills `client_zone`, `server_zone` and `app` of session rows.

    Args:
        classes: The zones and applications.
    """

    def __init__(self, classes: Classes) -> None:
        self._zones = _Zones(classes)
        self._apps = _Applications(classes)

    def __call__(self, batch: Any) -> Any:
        """Return a RecordBatch with its zones and applications; every other column is shared."""
        vlan = numbers(column(batch, "vlan")).astype(np.int64) & (_VLANS - 1)
        client = self._zones.codes(column(batch, "client_ip"), vlan)
        server = self._zones.codes(column(batch, "server_ip"), vlan)
        ports = numbers(column(batch, "server_port"))
        fresh = {
            "client_zone": self._zones.words(client),
            "server_zone": self._zones.words(server),
            "app": self._apps.words(self._apps.codes(ports, client, server)),
        }
        arrays = [fresh.get(name, batch.column(name)) for name in batch.schema.names]
        return pa.RecordBatch.from_arrays(arrays, schema=batch.schema)


def _after(address: bytes) -> bytes:
    return (int.from_bytes(address, "big") + 1).to_bytes(16, "big")


class _Zones:
    """Zones as a table: stretch of the address space by kind of VLAN, the first zone that matches in each cell."""

    def __init__(self, classes: Classes) -> None:
        order = classes.by_priority
        names = list(dict.fromkeys(zone.name for zone in order))
        self._names = pa.array(names, pa.string())
        starts = {bytes(16)}
        for zone in order:
            for block in zone.blocks:
                starts.add(block.low)
                if block.high != _LAST:
                    starts.add(_after(block.high))
        ordered = sorted(starts)
        place = {start: number for number, start in enumerate(ordered)}
        # Texts compare as zero-padded bytes, which is what addresses are.
        self._starts = np.array(ordered, "S16")
        halves = [(int.from_bytes(s[:8], "big"), int.from_bytes(s[8:], "big")) for s in ordered]
        self._low_starts = np.array([low for high, low in halves if high == 0], np.uint64)
        tagged = [zone for zone in order if zone.vlans]
        kinds: dict[tuple[bool, ...], int] = {}
        self._kind_of_vlan = np.zeros(_VLANS, np.int64)
        for vlan in range(_VLANS if tagged else 1):
            on = tuple(any(low <= vlan <= high for low, high in zone.vlans) for zone in tagged)
            self._kind_of_vlan[vlan] = kinds.setdefault(on, len(kinds))
        self._table = np.zeros((len(ordered), len(kinds)), np.int32)
        code_of = {name: code for code, name in enumerate(names, 1)}
        for zone in reversed(order):  # so that those that are asked first are written last
            columns = np.arange(len(kinds))
            if zone.vlans:
                columns = np.array([k for on, k in kinds.items() if on[tagged.index(zone)]], np.int64)
            for block in zone.blocks:
                end = place[_after(block.high)] if block.high != _LAST else len(ordered)
                self._table[place[block.low] : end, columns] = code_of[zone.name]
            if not zone.blocks:
                self._table[:, columns] = code_of[zone.name]

    def codes(self, addresses: Any, vlan: Any) -> Any:
        """Return 1 + the number of the zone's name for each row, 0 for none."""
        upper, lower = address_words(addresses)
        stretch = np.searchsorted(self._low_starts, lower, "right") - 1
        far = np.flatnonzero(upper)  # neither IPv4 nor the lowest IPv6 addresses
        if len(far):
            words = np.empty((len(far), 2), ">u8")
            words[:, 0], words[:, 1] = upper[far], lower[far]
            stretch[far] = np.searchsorted(self._starts, words.view("S16")[:, 0], "right") - 1
        return self._table[stretch, self._kind_of_vlan[vlan]]

    def words(self, codes: Any) -> Any:
        """Return the names for codes, null for none."""
        indices = pa.array(np.maximum(codes - 1, 0), pa.int32(), mask=codes == 0)
        if len(self._names) == 0:
            return pa.nulls(len(codes), arrow_type(BY_NAME["client_zone"]))
        return pa.DictionaryArray.from_arrays(indices, self._names)


class _Applications:
    """Applications as a table that fills as combinations of port, client zone and server zone come."""

    def __init__(self, classes: Classes) -> None:
        self._classes = classes
        names = list(dict.fromkeys([UNCLASSIFIED, *(app.name for app in classes.applications)]))
        self._names = pa.array(names, pa.string())
        self._code = {name: code for code, name in enumerate(names)}
        zones = list(dict.fromkeys(zone.name for zone in classes.by_priority))
        self._client = self._sides(zones, [app.client_zones for app in classes.applications])
        self._server = self._sides(zones, [app.server_zones for app in classes.applications])
        edges = np.zeros(_PORTS + 1, np.bool_)
        for candidate in classes.candidates:
            edges[candidate.ports[0]] = edges[candidate.ports[1] + 1] = True
        self._kind_of_port = np.cumsum(edges[:_PORTS])  # ports of one kind are in the same ranges
        kinds = int(self._kind_of_port[-1]) + 1
        self._shape = (kinds, len(self._client[1]), len(self._server[1]))
        self._port_of_kind = np.searchsorted(self._kind_of_port, np.arange(kinds))
        size = int(np.prod(self._shape))
        self._memo = np.full(size, -1, np.int32) if size <= _LARGEST_TABLE else None

    @staticmethod
    def _sides(zones: list[str], asked: list[tuple[str, ...]]) -> tuple[Any, list[str | None]]:
        """Return the kind of each zone code and a zone of each kind: zones that no application names are one kind."""
        named = [zone for zone in zones if any(zone in names for names in asked)]
        kinds = np.zeros(len(zones) + 1, np.int64)
        for kind, zone in enumerate(named, 1):
            kinds[zones.index(zone) + 1] = kind
        return kinds, [None, *named]

    def codes(self, ports: Any, client: Any, server: Any) -> Any:
        """Return the number of the application's name for each row."""
        _, clients, servers = self._shape
        kind = self._kind_of_port[ports]
        combined = (kind * clients + self._client[0][client]) * servers + self._server[0][server]
        if self._memo is None:
            several, places = np.unique(combined, return_inverse=True)
            return np.array([self._evaluate(int(one)) for one in several], np.int32)[places]
        codes = self._memo[combined]
        if (unknown := codes < 0).any():
            for one in np.unique(combined[unknown]).tolist():
                self._memo[one] = self._evaluate(one)
            codes = self._memo[combined]
        return codes

    def _evaluate(self, combined: int) -> int:
        kind, client, server = (int(n) for n in np.unravel_index(combined, self._shape))
        port = int(self._port_of_kind[kind])
        found = self._classes.application_of(port, self._client[1][client], self._server[1][server])
        return self._code[found.application.name if found is not None else UNCLASSIFIED]

    def words(self, codes: Any) -> Any:
        """Return the names for codes."""
        return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), self._names)
