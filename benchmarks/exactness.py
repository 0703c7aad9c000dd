"""Counts on how many sessions what-if is exact, box by box, and names what is left open on the others, with its share.

    python -m benchmarks.exactness                   random sessions of the tests: long silences, repeats, odd closes
    python -m benchmarks.exactness CAPTURE...        those of captures

Which verdicts are right is what `tests/property/test_whatif.py` holds against the slow box; here they are counted.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, given, seed, settings
from tests.naive.packets import Packet
from tests.naive.write import write
from tests.property.boxes import BOXES, judged
from tests.property.talks import captures_of_talks

import lastack
from lastack.app.profiles import all_profiles
from lastack.app.whatif import scenario
from lastack.model.errors import UsageError
from lastack.replay.judge import Judged
from lastack.replay.past import Past
from lastack.replay.recorded import past_of


def main() -> int:
    """Print a line for each box."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("captures", nargs="*", help="captures to take the sessions from")
    parser.add_argument("--examples", type=int, default=300, help="random captures of up to 12 sessions")
    options = parser.parse_args()
    pasts = [past for past in _pasts(options) if len(past)]
    total = sum(map(len, pasts))
    print(f"{total:,} sessions; exact: broken or not, when, and the bytes lost")
    for name, table in _boxes().items():
        exact, open_ = 0, Counter[str]()
        for past in pasts:
            found = judged(table, past)
            exact += int(found.exact.sum())
            open_.update(_reason(past, found, row) for row in np.flatnonzero(~found.exact))
        reasons = ", ".join(f"{reason} {count / total:.2%}" for reason, count in open_.most_common())
        print(f"{name:28} {exact / total:8.2%}  {reasons}")
    return 0


def _boxes() -> dict[str, Any]:
    boxes: dict[str, Any] = {f"test box: {name}": table for name, table in BOXES.items()}
    for profile in all_profiles():
        try:
            boxes[profile.name] = scenario(profile.name).boxes[0].tables[0]
        except UsageError:
            continue  # a host, not a box on a path
    return boxes


def _pasts(options: argparse.Namespace) -> Iterator[Past]:
    if options.captures:
        yield from (past_of(lastack.track(path).table) for path in options.captures)
        return
    with tempfile.TemporaryDirectory(prefix="lastack-exactness-") as folder:
        for packets in _random(options.examples):
            yield past_of(lastack.track(write(Path(folder) / "talks.pcap", packets)).table)


def _random(examples: int) -> list[list[Packet]]:
    found: list[list[Packet]] = []

    @seed(5)
    @settings(
        max_examples=examples, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(captures_of_talks())
    def keep(packets: list[Packet]) -> None:
        found.append(packets)

    keep()
    return found


def _reason(past: Past, found: Judged, row: int) -> str:
    """Return what the record leaves open about a session, in a few words."""
    if past.odd[row]:
        return "odd session"
    kind, harsh = found.kind, found.harsh
    if kind.broken[row] != harsh.broken[row]:
        what = "whether it breaks"
    elif kind.died_ns[row] != harsh.died_ns[row]:
        what = "when"
    else:
        what = "what is lost"
    if past.repeated_fin[row]:
        return f"{what} (a FIN came again)"
    if past.repeated_syn[row]:
        return f"{what} (a SYN came again)"
    return what


if __name__ == "__main__":
    sys.exit(main())
