"""The confusion matrix as a command.

python -m tests.matrix             print the page, and say which goals are missed (exit code 1 if one is)
python -m tests.matrix --write     write it to docs/explain/confusion.md
python -m tests.matrix --wrong     list each version that was got wrong
"""

from __future__ import annotations

import sys

from tests.matrix.judge import results
from tests.matrix.page import GOALS, PAGE, page


def main(arguments: list[str]) -> int:
    """Print or write the matrix; return the exit code."""
    found = results()
    if "--wrong" in arguments:
        for one in found.said:
            if one.right and one.outcome == "wrong":
                about = f"{one.version.kind:8} {one.version.case.name}, {one.version.name}"
                print(f"{about}: {one.cause}, not {' or '.join(one.right)} ({one.observed})")
    elif "--write" in arguments:
        PAGE.write_text(page(found), encoding="utf-8")
    else:
        print(page(found))
    missed = [
        kind
        for kind, goal in GOALS.items()
        if found.share(kind, "right", *(() if kind == "whole" else ("modest",))) < goal
    ]
    for line in [f"goal missed: {kind}" for kind in missed] + found.slanders():
        print(line, file=sys.stderr)
    return 1 if missed or found.slanders() else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
