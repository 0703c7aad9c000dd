"""A page of text for a terminal: headings, wrapped sentences and aligned rows, with colour only where it is shown."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Sequence

_STYLES = {"head": "\x1b[1m", "dim": "\x1b[2m", "bad": "\x1b[31m", "notice": "\x1b[33m", "good": "\x1b[32m"}
_RESET = "\x1b[0m"


class Page:
    """Lines in the making.

    Args:
        width: Characters a line may have; 80 to 100 of the terminal by default.
        colour: Whether styles are shown; by default only on a terminal without NO_COLOR.
    """

    def __init__(self, width: int | None = None, colour: bool | None = None) -> None:
        self.width = width or max(80, min(100, shutil.get_terminal_size((80, 24)).columns))
        self.colour = (sys.stdout.isatty() and not os.environ.get("NO_COLOR")) if colour is None else colour
        self._lines: list[str] = []

    def heading(self, text: str, aside: str = "") -> None:
        """Start a section; `aside` stands at its right."""
        if self._lines:
            self._lines.append("")
        gap = max(2, self.width - len(text) - len(aside))
        self._lines.append(self._styled(text, "head") + (" " * gap + aside if aside else ""))

    def say(self, text: str, indent: str = "  ", hang: str | None = None, style: str = "") -> None:
        """Add a sentence, wrapped; `hang` begins its further lines."""
        lines = textwrap.wrap(
            text,
            self.width,
            initial_indent=indent,
            subsequent_indent=indent if hang is None else hang,
            break_long_words=False,
            break_on_hyphens=False,
        )
        self._lines += [self._styled(line, style) for line in lines]

    def line(self, text: str = "", style: str = "") -> None:
        """Add one line as it is."""
        self._lines.append(self._styled(text, style))

    def grid(self, rows: Sequence[Sequence[str]], align: str, head: Sequence[str] | None = None) -> None:
        """Add aligned rows.

        Args:
            rows: Cells of each row.
            align: One letter a column: `l`, `r`, or, for the last one, `t`: a text that is wrapped to the rest.
            head: Titles, shown dim.
        """
        everything = [*([list(head)] if head else []), *map(list, rows)]
        if not everything:
            return
        widths = [max(len(row[i]) for row in everything) for i in range(len(align))]
        wrapped = align.endswith("t")
        start = 2 + sum(widths[:-1]) + 2 * (len(widths) - 1)
        for number, row in enumerate(everything):
            style = "dim" if head and number == 0 else ""
            fixed = row[:-1] if wrapped else row
            parts = [
                cell.rjust(width) if kind == "r" else cell.ljust(width)
                for cell, kind, width in zip(fixed, align, widths, strict=False)
            ]
            text = "  " + "  ".join(parts)
            if not wrapped or not row[-1]:
                self._lines.append(self._styled(text.rstrip(), style))
                continue
            pieces = textwrap.wrap(row[-1], max(12, self.width - start))
            self._lines.append(self._styled(f"{text}  {pieces[0]}", style))
            self._lines += [self._styled(" " * start + piece, style) for piece in pieces[1:]]

    def table(
        self,
        rows: Sequence[Sequence[str]],
        align: str,
        heads: Sequence[Sequence[str]],
        rule: int | None = None,
    ) -> None:
        """Add aligned rows with a head of one or more lines, from the left edge.

        Args:
            rows: Cells of each row.
            align: One letter a column, `l` or `r`.
            heads: Lines of the head, shown bold.
            rule: Draw a line before this row.
        """
        everything = [*heads, *rows]
        widths = [max(len(row[i]) for row in everything) for i in range(len(align))]
        for number, row in enumerate(everything):
            if rule is not None and number == len(heads) + rule:
                self._lines.append(self._styled("─" * (sum(widths) + 2 * (len(widths) - 1)), "dim"))
            parts = [
                cell.rjust(width) if kind == "r" else cell.ljust(width)
                for cell, kind, width in zip(row, align, widths, strict=True)
            ]
            self._lines.append(self._styled("  ".join(parts).rstrip(), "head" if number < len(heads) else ""))

    def text(self) -> str:
        """Return the page."""
        return "\n".join(self._lines) + "\n"

    def _styled(self, text: str, style: str) -> str:
        return f"{_STYLES[style]}{text}{_RESET}" if style and self.colour and text else text
