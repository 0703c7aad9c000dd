"""Where the fast engine and the twin differ, by field, each with its smallest example as a timeline.

    python -m tests.property.tally 1000           # packet lists a strategy
    python -m tests.property.tally 1000 sane      # without packets that have two of SYN, FIN, RST

For working on the tracker; what it prints goes into a script of tests/scripts with small changes.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence

from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy
from tests.naive.engines import fast, naive
from tests.naive.packets import Packet
from tests.naive.rows import compare
from tests.naive.script import BASE_NS
from tests.property.strategies import mutated, noise

LETTERS = "FSRPAUEC"


def timeline(packets: Sequence[Packet]) -> Iterator[str]:
    """Yield packets in the language of the scripts, directions by the first packet's sender."""
    first = (packets[0].src, packets[0].sport)
    ends = {first, (packets[0].dst, packets[0].dport)}
    for p in packets:
        arrow = ">" if (p.src, p.sport) == first else "<"
        flags = "ICMP" if p.icmp else "".join(c for i, c in enumerate(LETTERS) if p.flags >> i & 1) or "-"
        scale = "" if p.wscale is None else f" wscale={p.wscale}"
        pair = {(p.src, p.sport), (p.dst, p.dport)}
        other = "" if first in pair and pair == ends else f"  # {p.src}:{p.sport}"
        moment = (p.ts_ns - BASE_NS) / 1e9
        yield f"{moment:.3f} {arrow} {flags} {p.payload} seq={p.seq} ack={p.ack} win={p.window}{scale}{other}"


def sane(packets: Sequence[Packet]) -> bool:
    """Return whether no packet has two of SYN, FIN, RST."""
    return all((packet.flags & 7).bit_count() <= 1 for packet in packets)


def tally(examples: int, only_sane: bool) -> tuple[Counter[str], dict[str, tuple[str, list[Packet]]]]:
    """Return how often each field differs, and for each the smallest example with its line."""
    engine = fast()
    counts: Counter[str] = Counter()
    smallest: dict[str, tuple[str, list[Packet]]] = {}

    def run(strategy: SearchStrategy[list[Packet]]) -> None:
        @settings(
            max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck)
        )
        @given(strategy)
        def one(packets: list[Packet]) -> None:
            if only_sane and not sane(packets):
                return
            for line in compare(engine(packets), naive(packets)):
                field = line.split()[1]
                counts[field] += 1
                if field not in smallest or len(packets) < len(smallest[field][1]):
                    smallest[field] = line, packets

        one()

    run(mutated())
    run(noise())
    return counts, smallest


def main() -> None:
    """Print the tally."""
    counts, smallest = tally(int(sys.argv[1]), "sane" in sys.argv)
    for field, count in counts.most_common():
        line, packets = smallest[field]
        print(f"{count:6} {line}   (fast != twin)")
        print("\n".join(f"       {text}" for text in timeline(packets)))


if __name__ == "__main__":
    main()
