"""Runs the examples of the documentation, and writes what they print back into the pages.

In a page, a `console` block that begins with `$ lastack` is a list of commands, each followed by what it prints;
a `pycon` block is an interpreter session. Both are run, in order, in one folder a page that has
the shipped samples in it. A line `…` stands for any number of lines. All other blocks are for people only.

    python -m tests.docs.blocks            show which pages differ from what their commands print
    python -m tests.docs.blocks --write    put what the commands print into the pages
"""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = [*(ROOT / name for name in ("README.md", "CONTRIBUTING.md")), *sorted((ROOT / "docs").rglob("*.md"))]
CUT = "…"

_FENCE = re.compile(
    r"^```(?P<kind>console|pycon)\n(?P<body>(?:\$ lastack|>>> ).*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass
class Example:
    """One command of a page and what the page says it prints.

    Attributes:
        source: The command as a shell reads it, or a statement of Python.
        expected: Lines that the page shows; empty when it shows none.
        line: Where in the page it stands, from 1.
    """

    source: str
    expected: list[str]
    line: int


def examples_of_console(body: str, line: int) -> Iterator[Example]:
    """Yield the commands of a `console` block; a trailing backslash joins lines."""
    current: Example | None = None
    for number, text in enumerate(body.splitlines(), line):
        if text.startswith("$ "):
            if current:
                yield current
            current = Example(text[2:], [], number)
        elif current and current.source.endswith("\\"):
            current.source += "\n" + text.removeprefix("> ")
        elif current:
            current.expected.append(text)
    if current:
        yield current


def matches(expected: list[str], actual: list[str]) -> bool:
    """Return whether lines are as a page shows them; `…` in the page stands for any lines."""
    if not expected:
        return True
    pattern = "\n".join(
        "(?:.*\n)*.*" if line.strip() == CUT else re.escape(line.rstrip()) for line in expected
    )
    return re.fullmatch(pattern, "\n".join(line.rstrip() for line in actual)) is not None


def shown(expected: list[str], actual: list[str]) -> list[str]:
    """Return what a page should show: all of it, or as much around a `…` as it showed before."""
    actual = [line.rstrip() for line in actual]
    if CUT not in expected:
        return actual
    head = expected.index(CUT)
    tail = len(expected) - head - 1
    return [*actual[:head], CUT, *(actual[len(actual) - tail :] if tail else [])]


def environment() -> dict[str, str]:
    """Return the surroundings in which the examples print the same everywhere."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("COLUMNS", "FORCE_", "LC_"))
    }
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return {**kept, "PATH": path, "COLUMNS": "100", "NO_COLOR": "1", "LC_ALL": "C.UTF-8", "TZ": "UTC"}


def run_console(example: Example, folder: Path) -> list[str]:
    """Run a command and return the lines of its standard output; what it says to people is left out.

    Raises:
        AssertionError: It failed; the message has its standard error.
    """
    done = subprocess.run(
        ["sh", "-c", example.source],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, (
        f"`{example.source}` exits with {done.returncode}:\n{done.stdout}{done.stderr}"
    )
    return done.stdout.splitlines()


_SESSION = """
import contextlib, io, json, sys
space = {"__name__": "__main__"}
for source in json.load(sys.stdin):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(source, "page", "single"), space)
    print(json.dumps(printed.getvalue()))
"""


def run_pycon(sources: list[str], folder: Path) -> list[list[str]]:
    """Run the statements of one interpreter session and return what each printed, as lines."""
    import json

    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", _SESSION],
        cwd=folder,
        env=environment(),
        input=json.dumps(sources),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{sources}:\n{done.stderr}"
    return [json.loads(line).splitlines() for line in done.stdout.splitlines()]


def run_page(page: Path) -> tuple[str, list[str]]:
    """Return the text of a page as its commands print today, and where that differs from what it says.

    Raises:
        AssertionError: A command of the page failed.
    """
    text = page.read_text(encoding="utf-8")
    differences: list[str] = []
    name = page.relative_to(ROOT).as_posix()
    with tempfile.TemporaryDirectory(prefix="lastack-docs-") as folder:
        (Path(folder) / "samples").symlink_to(ROOT / "samples")

        def refreshed(block: re.Match[str]) -> str:
            line = text.count("\n", 0, block.start("body")) + 1
            if block["kind"] == "console":
                return _refreshed_console(block["body"], line, Path(folder), name, differences)
            return _refreshed_pycon(block["body"], line, Path(folder), name, differences)

        return _FENCE.sub(refreshed, text), differences


def _refreshed_console(body: str, line: int, folder: Path, name: str, differences: list[str]) -> str:
    lines = ["```console"]
    for example in examples_of_console(body, line):
        actual = run_console(example, folder)
        if not matches(example.expected, actual):
            differences.append(f"{name}:{example.line}: `{example.source}` prints\n" + "\n".join(actual))
        lines += ["$ " + example.source, *(shown(example.expected, actual) if example.expected else [])]
    return "\n".join([*lines, "```"])


def _refreshed_pycon(body: str, line: int, folder: Path, name: str, differences: list[str]) -> str:
    examples = doctest.DocTestParser().get_examples(body)
    results = run_pycon([example.source for example in examples], folder)
    lines = ["```pycon"]
    for example, actual in zip(examples, results, strict=True):
        expected = example.want.splitlines()
        if actual and not matches(expected or ["(nothing)"], actual):
            differences.append(
                f"{name}:{line + example.lineno}: {example.source.strip()} gives\n" + "\n".join(actual)
            )
        first, *more = example.source.rstrip("\n").split("\n")
        lines += [">>> " + first, *("... " + text for text in more), *shown(expected, actual)]
    return "\n".join([*lines, "```"])


def main(arguments: list[str]) -> int:
    """Check or rewrite the pages; return 1 if one differs and was not rewritten."""
    found = 0
    for page in PAGES:
        if not page.exists() or not _FENCE.search(page.read_text(encoding="utf-8")):
            continue
        text, differences = run_page(page)
        if "--write" in arguments:
            page.write_text(text, encoding="utf-8")
        else:
            found += len(differences)
            print("\n".join(differences), end="\n" if differences else "")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
