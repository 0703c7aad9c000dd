"""Captures and timelines with known causes: packets, and for each session the verdicts that are right."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

from tests.naive import reader, tracker
from tests.naive.packets import Packet
from tests.naive.script import read_script

ROOT = Path(__file__).resolve().parents[2]
CAPTURES = ROOT / "tests" / "captures"
SCRIPTS = ROOT / "tests" / "scripts"
TRUTH = Path(__file__).with_name("causes.toml")

End = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Session:
    """One session of a case: `right` is what may be said of it, what its makers did first."""

    client: End
    server: End
    right: tuple[str, ...]

    @property
    def key(self) -> frozenset[End]:
        """The two ends, whoever is the client."""
        return frozenset({self.client, self.server})


@dataclass(frozen=True, slots=True)
class Case:
    """One capture or timeline; `sessions` are in the order of their first packets, those without a verdict left out."""

    name: str
    packets: list[Packet]
    sessions: tuple[Session, ...]


def cases() -> list[Case]:
    """Return every case: the project's captures, then the timelines that say a verdict."""
    labels = tomllib.loads(TRUTH.read_text(encoding="utf-8"))
    found = [_of_capture(name, words) for name, words in sorted(labels.items())]
    found += [case for path in sorted(SCRIPTS.glob("*.pkts")) if (case := _of_script(path)).sessions]
    return found


def _of_capture(name: str, words: list[str]) -> Case:
    packets = reader.read(CAPTURES / f"{name}.pcap").packets
    right: list[tuple[str, ...]] = []
    for word in words:
        causes, _, times = word.partition(" * ")
        right += [tuple(causes.split("|"))] * int(times or 1)
    return Case(name, packets, _sessions(packets, dict(enumerate(right, 1)), name))


def _of_script(path: Path) -> Case:
    script = read_script(path)
    right = {
        verdict.row or 1: tuple(verdict.values["cause"].split("|"))
        for verdict in script.verdicts
        if "cause" in verdict.values
    }
    return Case(path.stem, script.packets, _sessions(script.packets, right, path.stem))


def _sessions(packets: list[Packet], right: dict[int, tuple[str, ...]], name: str) -> tuple[Session, ...]:
    """Return the sessions that the slow twin finds, with what is right to say of each; all others are left out."""
    if not right:
        return ()
    rows = sorted(tracker.track(packets), key=lambda row: row["first_packet"])
    assert max(right) <= len(rows), f"{name}: {len(rows)} sessions, a verdict on number {max(right)}"
    return tuple(
        Session(
            (row["client_ip"], row["client_port"]),
            (row["server_ip"], row["server_port"]),
            right.get(number, ()),
        )
        for number, row in enumerate(rows, 1)
    )
