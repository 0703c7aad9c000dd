#!/usr/bin/env python3
"""Makes tests/captures (one small capture a pattern, with labels), and the sample, by real kernel stacks.

The patterns are those of `lastack lab close`. Needs root, `ip` and `nft`, and an installed LastACK:

    python -m tools.make_captures                 # all patterns and the sample
    python -m tools.make_captures refused vxlan   # some patterns
    python -m tools.make_captures --missing       # patterns that have no capture yet
    python -m tools.make_captures --sample        # the sample only
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from pathlib import Path

from lastack.capture.writer import PcapWriter
from lastack.lab import missing
from lastack.lab.closes import PATTERNS, Label, Played, from_toml, play_all, to_toml

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "tests" / "captures"
_NOTE = """\
Written by tools/make_captures.py together with the captures; the words are those of
docs/reference/definitions.md. `kernel_*` is the state that the host's own kernel reported, `causes` are the
verdicts that are right."""


def write(played: Played, folder: Path) -> Label:
    """Write the capture of a pattern to `folder/NAME.pcap` and return its label."""
    assert played.label is not None, played.failure
    with PcapWriter(folder / f"{played.pattern.name}.pcap", played.link, played.pattern.snaplen) as out:
        for frame in played.frames:
            out.write(frame.ts_ns, frame.data, frame.wirelen)
    return played.label


def main() -> int:
    """Make what the command line asks for."""
    parser = argparse.ArgumentParser(description="Make captures of close patterns (root).")
    parser.add_argument("names", nargs="*", help="patterns; default: all of them and the sample")
    parser.add_argument("--sample", action="store_true", help="make samples/closes.pcapng only")
    parser.add_argument("--missing", action="store_true", help="only patterns without a capture")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in PATTERNS]
    if unknown:
        parser.error(f"no such pattern: {', '.join(unknown)} (`lastack lab close --list` prints them)")
    if reason := missing():
        print(f"make_captures: {reason}", file=sys.stderr)
        return 4
    failed = 0
    names = arguments.names or list(PATTERNS)
    if arguments.missing:
        names = [name for name in names if not (FOLDER / f"{name}.pcap").exists()]
    if not arguments.sample:
        failed = _make_patterns(names)
    if arguments.sample or not (arguments.names or arguments.missing):
        from tools.sample.play import make

        print(f"samples/closes.pcapng: {make(ROOT / 'samples' / 'closes.pcapng')} frames")
    return 1 if failed else 0


def _make_patterns(names: list[str]) -> int:
    path = FOLDER / "labels.toml"
    known = from_toml(tomllib.loads(path.read_text(encoding="utf-8")))
    failed = 0
    # one at a time: what one pattern does to the machine must not be seen in the times of another
    for played in play_all([PATTERNS[name] for name in names], workers=1, apart=False):
        name = played.pattern.name
        if played.failure:
            failed += 1
            print(f"{name}: FAILED: {played.failure}", file=sys.stderr)
        else:
            known[name] = write(played, FOLDER)
            print(f"{name}: {known[name].tcp_packets} TCP packets")
    kept = {name: entry for name, entry in known.items() if name in PATTERNS}
    path.write_text(to_toml(kept, _NOTE), encoding="utf-8")
    return failed


if __name__ == "__main__":
    sys.exit(main())
