#!/usr/bin/env python3
"""Makes tests/captures (one small capture a pattern, with labels), and the sample, by real kernel stacks.

Needs root, `ip` and `nft`, and touches nothing but network namespaces that it creates and removes:

    sudo python3 tools/make_captures.py                 # all patterns and the sample
    sudo python3 tools/make_captures.py refused vxlan   # some patterns
    sudo python3 tools/make_captures.py --sample        # the sample only
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from closelab import closing, failing, lab, labels, netns, opening, sample, wrapped
from closelab.files import write_pcap
from closelab.recipe import Recipe

ROOT = Path(__file__).resolve().parent.parent
RECIPES: dict[str, Recipe] = {
    recipe.name: recipe for recipe in (*opening.RECIPES, *closing.RECIPES, *failing.RECIPES, *wrapped.RECIPES)
}


def make(recipe: Recipe, folder: Path) -> dict[str, object]:
    """Play a recipe, write its capture to `folder/NAME.pcap`, and return its label."""
    with lab.built(recipe.watch) as hosts:
        recipe.play(hosts)
        path = folder / f"{recipe.name}.pcap"
        outer = hosts.outer or hosts.wire
        if not hosts.written_to(path):
            write_pcap(path, outer.drain(), outer.link, recipe.snaplen)
        return labels.label(recipe, hosts, hosts.wire.segments())


def main() -> int:
    """Make what the command line asks for."""
    parser = argparse.ArgumentParser(description="Make captures of close patterns (root).")
    parser.add_argument("names", nargs="*", help="patterns; default: all of them and the sample")
    parser.add_argument("--sample", action="store_true", help="make samples/closes.pcapng only")
    parser.add_argument("--list", action="store_true", help="print the patterns and stop")
    arguments = parser.parse_args()
    if arguments.list:
        for recipe in RECIPES.values():
            print(f"{recipe.name:24} {recipe.about}")
        return 0
    unknown = [name for name in arguments.names if name not in RECIPES]
    if unknown:
        parser.error(f"no such pattern: {', '.join(unknown)} (--list prints them)")
    if reason := netns.missing_requirements():
        print(f"make_captures: {reason}", file=sys.stderr)
        return 4
    failed = 0
    if not arguments.sample:
        failed = _make_patterns(arguments.names or list(RECIPES))
    if arguments.sample or not arguments.names:
        count = sample.make(ROOT / "samples" / "closes.pcapng")
        print(f"samples/closes.pcapng: {count} frames")
    return 1 if failed else 0


def _make_patterns(names: list[str]) -> int:
    folder = ROOT / "tests" / "captures"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "labels.toml"
    known = tomllib.loads(path.read_text()) if path.exists() else {}
    failed = 0
    for name in names:
        try:
            known[name] = make(RECIPES[name], folder)
            print(f"{name}: {known[name]['tcp_packets']} TCP packets")
        except (netns.LabError, OSError, AssertionError) as error:
            failed += 1
            print(f"{name}: FAILED: {error}", file=sys.stderr)
    path.write_text(labels.as_toml({name: entry for name, entry in known.items() if name in RECIPES}))
    return failed


if __name__ == "__main__":
    sys.exit(main())
