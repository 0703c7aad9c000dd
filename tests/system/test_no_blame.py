"""No rule blames a middlebox or a forger for what real, harmless traffic does, whole or damaged."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.matrix.judge import ACCUSATIONS
from tests.naive import expected, reader
from tests.naive.packets import Packet
from tests.naive.write import write

import lastack

NAMES = expected.names()
LOSSES = (0.01, 0.05, 0.2)


def accusations(path: Path) -> list[str]:
    """Return what was said against somebody in the path, one line a session."""
    table = lastack.track(path, threads=1).table
    causes = table.column("cause").to_pylist()
    firsts = table.column("first_packet").to_pylist()
    return [
        f"packet {first}: {cause}"
        for first, cause in zip(firsts, causes, strict=True)
        if cause in ACCUSATIONS
    ]


@pytest.mark.shared
@pytest.mark.parametrize("name", NAMES)
def test_real_capture__nobody_is_blamed(name: str) -> None:
    assert accusations(expected.FOLDER / name) == []


@pytest.mark.shared
@pytest.mark.parametrize("name", NAMES)
def test_damaged_capture__nobody_is_blamed(name: str, tmp_path: Path) -> None:
    packets = reader.read(expected.FOLDER / name).packets[:20_000]
    found = []
    for kind, kept in worse(name, packets):
        found += [f"{kind}: {line}" for line in accusations(write(tmp_path / "worse.pcap", kept))]
    assert found == []


def worse(name: str, packets: list[Packet]) -> list[tuple[str, list[Packet]]]:
    """Return versions with lost packets, a lost beginning, and one direction only."""
    chance = random.Random(name)
    versions = [(f"{loss:.0%} lost", [p for p in packets if chance.random() >= loss]) for loss in LOSSES]
    versions += [(f"first {cut} gone", packets[cut:]) for cut in (1, 5, len(packets) // 3)]
    for side in (0, 1):
        versions.append(
            (f"side {side}", [p for p in packets if ((p.src, p.sport) < (p.dst, p.dport)) == bool(side)])
        )
    return versions
