"""Turns the text of a filter into a checked tree; every error points at its column."""

from __future__ import annotations

from collections.abc import Callable

from lastack.model.errors import UsageError
from lastack.query.ast import And, Comparison, Node, Not, Or
from lastack.query.lexer import Token, mistake, tokenize
from lastack.query.metrics import METRICS, Kind, Metric, nearest
from lastack.query.operators import OPERATORS
from lastack.query.values import read_number, read_span, read_words

#: The language, as the reference prints it and as the methods of the parser read it.
GRAMMAR = """\
filter     := all { "or" all }
all        := unary { "and" unary }
unary      := "not" unary | "(" filter ")" | comparison
comparison := NAME ( "=" | "!=" | "<" | "<=" | ">" | ">=" | "~" | "!~" ) value
            | NAME [ "not" ] "in" ( value | "{" value { "," value } "}" )
            | NAME "is" [ "not" ] "null"
"""
#: Deeper nesting than any person writes; keeps hostile input from exhausting the stack.
MAX_DEPTH = 100
#: Longer than any person writes; keeps a filter from becoming a table.
MAX_LENGTH = 100_000
_WORDY = frozenset({Kind.text, Kind.enum})


def parse_filter(
    text: str, find: Callable[[str], Metric] | None = None, subject: str = "filter"
) -> Node | None:
    """Return the tree of a filter, or None for an empty one, which every row passes.

    Args:
        text: The filter.
        find: From a name, which may be a call such as `p99(ct)`, to its metric; raises ValueError with a hint. By
            default names are those of session rows.
        subject: What errors call the text.

    Raises:
        UsageError: The text is not a filter; the message has the text, a caret and the nearest name.
    """
    if len(text) > MAX_LENGTH:
        raise UsageError(f"{subject}: {len(text):,} characters are too many; {MAX_LENGTH:,} is the limit")
    parser = _Parser(text, find or session_metric, find is not None, subject)
    return parser.whole()


def session_metric(name: str) -> Metric:
    """Return the metric of session rows that a name means.

    Raises:
        ValueError: There is none; the message names the nearest.
    """
    metric = METRICS.get(name) or METRICS.get(name.casefold())
    if metric is not None:
        return metric
    near = nearest(name, list(METRICS))
    hint = f"did you mean {near}?" if near else "`lastack fields` lists the names"
    if f"{name}.clt" in METRICS:
        hint = f"it has two sides, {name}.clt and {name}.srv"
    raise ValueError(f"no field is called {name!r}: {hint}")


class _Parser:
    """Recursive descent over the tokens; one method a rule of the grammar."""

    def __init__(self, text: str, find: Callable[[str], Metric], calls: bool, subject: str) -> None:
        self._text = text
        self._find = find
        self._calls = calls
        self._subject = subject
        self._tokens = tokenize(text, subject)
        self._next = 0
        self._depth = 0

    def whole(self) -> Node | None:
        if self._peek().kind == "end":
            return None
        node = self._any_of()
        token = self._peek()
        if token.kind != "end":
            hint = "close it or drop it" if token.kind == ")" else "join two comparisons with `and` or `or`"
            raise self._error(token, f"nothing was expected here: {hint}")
        return node

    def _peek(self) -> Token:
        return self._tokens[self._next]

    def _take(self) -> Token:
        token = self._tokens[self._next]
        if token.kind != "end":
            self._next += 1
        return token

    def _error(self, token: Token, what: str) -> UsageError:
        return mistake(self._text, token.column, token.width, what, self._subject)

    def _any_of(self) -> Node:
        terms = [self._all_of()]
        while self._peek().kind == "or":
            self._take()
            terms.append(self._all_of())
        return terms[0] if len(terms) == 1 else Or(tuple(terms))

    def _all_of(self) -> Node:
        terms = [self._unary()]
        while self._peek().kind == "and":
            self._take()
            terms.append(self._unary())
        return terms[0] if len(terms) == 1 else And(tuple(terms))

    def _unary(self) -> Node:
        token = self._peek()
        if token.kind not in ("not", "("):
            return self._comparison()
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._error(token, f"more than {MAX_DEPTH} levels of `not` and parentheses")
        self._take()
        if token.kind == "not":
            node: Node = Not(self._unary())
        else:
            node = self._any_of()
            if self._peek().kind != ")":
                raise self._error(self._peek(), "a parenthesis is not closed: `)` was expected here")
            self._take()
        self._depth -= 1
        return node

    def _comparison(self) -> Node:
        metric = self._name()
        token = self._take()
        if token.kind == "is":
            return self._null_test(metric, negated=self._skip("not"))
        if token.kind == "not" and self._peek().kind == "in":
            token = self._take()
            return self._membership(metric, token, "not in")
        if token.kind == "in":
            return self._membership(metric, token, "in")
        if token.kind not in OPERATORS:
            raise self._error(token, f"an operator was expected after {metric.name}: = != < <= > >= ~ in is")
        if token.kind in ("=", "!=") and self._peek().kind == "null":
            return self._null_test(metric, negated=token.kind == "!=")
        return self._binary(metric, token)

    def _name(self) -> Metric:
        token = self._take()
        if token.kind != "word":
            what = "a name was expected" + (" where the filter ends" if token.kind == "end" else "")
            raise self._error(token, what)
        if self._calls:
            token = self._call(token)
        try:
            return self._find(token.text)
        except ValueError as reason:
            raise self._error(token, str(reason)) from None

    def _call(self, first: Token) -> Token:
        """Return a name with the parentheses that touch it, as in `count(rst > 0)/attempts`."""
        end = first.column + first.width
        while self._peek().column == end and (self._peek().kind == "(" or self._peek().text[:1] == "/"):
            depth = 0
            while True:
                token = self._take()
                if token.kind == "end":
                    raise self._error(first, "a parenthesis is not closed")
                depth += {"(": 1, ")": -1}.get(token.kind, 0)
                end = token.column + token.width
                if depth == 0:
                    break
        width = end - first.column
        return Token("word", self._text[first.column : end], first.column, width)

    def _skip(self, kind: str) -> bool:
        if self._peek().kind != kind:
            return False
        self._take()
        return True

    def _null_test(self, metric: Metric, *, negated: bool) -> Node:
        token = self._take()
        if token.kind != "null":
            raise self._error(token, "`null` was expected here")
        return Comparison(metric, "is not null" if negated else "is null", None)

    def _value(self) -> Token:
        token = self._take()
        if token.kind not in ("word", "string"):
            hint = f"; the text {token.text!r} goes in quotes" if token.text.isalpha() else ""
            raise self._error(token, f"a value was expected here{hint}")
        return token

    def _binary(self, metric: Metric, operator: Token) -> Node:
        row = OPERATORS[operator.kind]
        if metric.kind not in row.kinds:
            raise self._error(operator, _misfit(metric, row.symbol))
        token = self._value()
        try:
            if metric.kind in _WORDY:
                quoted = token.kind == "string"
                words = read_words(metric, [(token.text, quoted)], glob=row.symbol in ("~", "!~"))
                return Comparison(metric, row.symbol, words)
            if row.symbol in ("=", "!="):
                return Comparison(metric, row.symbol, (read_span(metric, token.text),))
            return Comparison(metric, row.symbol, read_number(metric, token.text))
        except (ValueError, OverflowError) as reason:
            raise self._error(token, str(reason)) from None

    def _membership(self, metric: Metric, operator: Token, symbol: str) -> Node:
        tokens = [self._value()] if self._peek().kind != "{" else self._set()
        spans = []
        texts = []
        for token in tokens:
            try:
                if metric.kind in _WORDY:
                    texts.append((token.text, token.kind == "string"))
                    read_words(metric, texts[-1:], glob=False)
                else:
                    spans.append(read_span(metric, token.text))
            except (ValueError, OverflowError) as reason:
                raise self._error(token, str(reason)) from None
        if metric.kind in _WORDY:
            return Comparison(metric, symbol, read_words(metric, texts, glob=False))
        return Comparison(metric, symbol, tuple(spans))

    def _set(self) -> list[Token]:
        self._take()
        tokens = [self._value()]
        while self._peek().kind == ",":
            self._take()
            tokens.append(self._value())
        if self._peek().kind != "}":
            raise self._error(self._peek(), "the set is not closed: `,` or `}` was expected here")
        self._take()
        return tokens


def _misfit(metric: Metric, symbol: str) -> str:
    usable = " ".join(row.symbol for row in OPERATORS.values() if metric.kind in row.kinds)
    return f"{symbol} does not apply to {metric.name}, which is {metric.kind.value}: use {usable}"
