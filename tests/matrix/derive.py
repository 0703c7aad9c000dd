"""Worse versions of a case, as observers get them: one direction only, packets lost, the beginning cut off."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from tests.matrix.cases import Case
from tests.naive.packets import Packet

LOSS = 0.05
SEEDS = (1, 2, 3, 4)
CUTS = (1, 2, 3, 5)


@dataclass(frozen=True, slots=True)
class Version:
    """A case as one observer saw it; `kind` is `whole`, `one way`, `lossy` or `cut`."""

    case: Case
    kind: str
    name: str
    packets: list[Packet]


def versions(case: Case) -> Iterator[Version]:
    """Yield a case whole, and every worse version of it."""
    yield Version(case, "whole", "whole", case.packets)
    for side in ("client", "server"):
        yield Version(case, "one way", f"only the {side}", _only(case, side))
    for seed in SEEDS:
        # A seed of text, so that a version stays the same whatever cases come before it.
        chance = random.Random(f"{case.name} {seed}")
        kept = [packet for packet in case.packets if chance.random() >= LOSS]
        yield Version(case, "lossy", f"seed {seed}", kept)
    for cut in CUTS:
        if cut < len(case.packets):
            yield Version(case, "cut", f"first {cut} gone", case.packets[cut:])


def _only(case: Case, side: str) -> list[Packet]:
    ends = {session.key: getattr(session, side) for session in case.sessions}
    kept = []
    for packet in case.packets:
        sender, receiver = (packet.src, packet.sport), (packet.dst, packet.dport)
        # An ICMP error goes to the end that it quotes: the other way than the quoted segment.
        seen = receiver if packet.icmp else sender
        if ends.get(frozenset({sender, receiver})) == seen:
            kept.append(packet)
    return kept
