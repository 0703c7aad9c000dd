"""The project's own captures and their labels, and rows of them from the product and from its slow twin."""

from __future__ import annotations

import ipaddress
import tomllib
from pathlib import Path
from typing import Any

from tests.naive import reader, tracker

import lastack

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "tests" / "captures"
SAMPLE = ROOT / "samples" / "closes.pcapng"
LABELS: dict[str, Any] = tomllib.loads((FOLDER / "labels.toml").read_text())
CAPTURES = [FOLDER / f"{name}.pcap" for name in LABELS]

Row = dict[str, Any]


def product_rows(path: Path) -> list[Row]:
    """Return the product's rows in the order of their first packets, addresses as text."""
    rows: list[Row] = lastack.track(path).table.to_pylist()
    for row in rows:
        for name in ("client_ip", "server_ip"):
            value = ipaddress.IPv6Address(row[name])
            row[name] = str(value.ipv4_mapped or value)
    return sorted(rows, key=lambda row: row["first_packet"])


def twin_rows(path: Path) -> list[Row]:
    """Return the slow twin's rows in the same order."""
    return sorted(tracker.track(reader.read(path).packets), key=lambda row: row["first_packet"])
