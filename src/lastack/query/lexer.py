"""Cuts a filter into tokens that know their column; errors are drawn under the text they are about."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lastack.model.errors import UsageError

#: A bare word holds names, numbers with units, addresses, CIDR blocks, times, globs and `a..b` ranges.
_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
  | (?P<symbol>==|!=|<=|>=|!~|&&|\|\||[=<>~(){},!])
  | (?P<word>[\w.:/*?+µ\-@%]+)
    """,
    re.VERBOSE,
)
_KEYWORDS = frozenset({"and", "or", "not", "in", "is", "null"})
_SYNONYMS = {"==": "=", "&&": "and", "||": "or", "!": "not"}


@dataclass(frozen=True, slots=True)
class Token:
    """One token: `kind` is a symbol or keyword itself, else `word`, `string` or `end`."""

    kind: str
    text: str
    column: int
    width: int


def mistake(text: str, column: int, width: int, what: str, subject: str = "filter") -> UsageError:
    """Return an error that shows a text with carets under the place it is about.

    Args:
        text: The whole text.
        column: Characters before the place.
        width: Characters it spans.
        what: What is wrong and what to do.
        subject: What the text is: a filter, a list of metrics, of keys.
    """
    shown = re.sub(r"\s", " ", text)
    if len(shown) > 200:  # a machine-made filter: show the neighbourhood only
        start = max(0, column - 60)
        shown, column = shown[start : start + 160], column - start
    return UsageError(f"{subject}: {what}\n  {shown}\n  {' ' * column}{'^' * max(1, min(width, 80))}")


def tokenize(text: str, subject: str = "filter") -> list[Token]:
    """Return the tokens of a filter, an `end` token last.

    Args:
        text: The filter.
        subject: What errors call it.

    Raises:
        UsageError: A character has no place in a filter, or a quote is not closed.
    """
    tokens: list[Token] = []
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise mistake(text, position, 1, _unreadable(text[position]), subject)
        raw = match.group()
        width = len(raw)
        if match.lastgroup == "string":
            tokens.append(Token("string", re.sub(r"\\(.)", r"\1", raw[1:-1]), position, width))
        elif match.lastgroup == "symbol":
            tokens.append(Token(_SYNONYMS.get(raw, raw), raw, position, width))
        elif match.lastgroup == "word":
            kind = raw.casefold() if raw.casefold() in _KEYWORDS else "word"
            tokens.append(Token(kind, raw, position, width))
        position = match.end()
    tokens.append(Token("end", "", len(text), 1))
    return tokens


def _unreadable(character: str) -> str:
    if character in "\"'":
        return "this quote is not closed"
    return f"{character!r} has no place here; a text with such characters goes in quotes"
