"""The words of ClickHouse: each means to the last digit what DuckDB's does.

They rest on two settings of the connection, `transform_null_in` (null is in a list that has null) and `join_use_nulls`.
Addresses are of the type IPv6, IPv4 mapped into it, which compares and sorts as its 16 bytes do.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from collections.abc import Sequence
from typing import Any

from lastack.query.dialect import Fragment

#: What a connection must be set to for these words to mean what they say.
SETTINGS: dict[str, int] = {"transform_null_in": 1, "join_use_nulls": 1}
#: Below a share of 1/100,000 of a value and above the error of a double, up to 100 million values a group.
_NUDGE = 1e-14
_I64_MIN, _U64_MAX = -(2**63), 2**64 - 1
#: A quoted name or a text, which may hold a question mark, or the place of a value.
_PLACES = re.compile(r"`(?:[^`\\]|\\.)*`|'(?:[^'\\]|\\.)*'|\?")


class ClickHouse:
    """The words of ClickHouse (25 and later)."""

    def name(self, text: str) -> str:
        """Return an identifier in backticks; a dot in one would mean a part of a nested column."""
        return "`" + text.replace("\\", "\\\\").replace("`", "\\`").replace(".", "·") + "`"

    def source(self, files: Sequence[str]) -> Fragment:
        """Return `file(…)` of each Parquet file that the server can read, as one table."""
        tables = " UNION ALL ".join("SELECT * FROM file(?, 'Parquet')" for _ in files)
        return f"({tables})", list(files)

    def signed(self, expression: str) -> str:
        """Return the expression as Int64."""
        return f"toInt64({expression})"

    def wide(self, expression: str) -> str:
        """Return the expression as Int128."""
        return f"toInt128({expression})"

    def real(self, expression: str) -> str:
        """Return the expression as Float64."""
        return f"toFloat64({expression})"

    def single(self, expression: str) -> str:
        """Return the expression as Float32."""
        return f"toFloat32({expression})"

    def matches(self, expression: str) -> str:
        """Return `match`, which searches, with both ends of the text in the pattern."""
        return f"match({expression}, concat('\\\\A(?s:', ?, ')\\\\z'))"

    def known(self, condition: str, expression: str) -> str:
        """Return a test for null beside the condition: null is not in a list, which makes `NOT IN` true."""
        return f"(coalesce({condition}, false) AND {expression} IS NOT NULL)"

    def count_if(self, condition: str) -> str:
        """Return `countIf`."""
        return f"countIf({condition})"

    def sum(self, expression: str) -> str:
        """Return a sum in 128 bits: ClickHouse's own wraps at 64."""
        return f"coalesce(sum(toInt128({expression})), toInt128(0))"

    def real_sum(self, expression: str) -> str:
        """Return a sum of doubles."""
        return f"coalesce(sum(toFloat64({expression})), toFloat64(0))"

    def extreme(self, word: str, expression: str) -> str:
        """Return the aggregate with `OrNull`: over no rows it would be 0."""
        return f"{word}OrNull({expression})"

    def quantile(self, expression: str, share: float, together: Sequence[float] = ()) -> str:
        """Return the nearest rank of n values, which is number ceil(share·n) of them, from 1.

        `quantileExact` takes number floor(level·n), from 0: the same one, unless share·n is whole. A level that is less
        by a little makes it the same one always.
        """
        return f"quantileExactOrNull({max(0.0, share - _NUDGE)!r})({expression})"

    def distinct(self, expression: str) -> str:
        """Return `uniqExact`, which leaves nulls out."""
        return f"uniqExact({expression})"

    def least_if(self, expression: str, condition: str) -> str:
        """Return `minOrNullIf`."""
        return f"minOrNullIf({expression}, {condition})"

    def bucket(self, expression: str, width: int) -> str:
        """Return the floor to a multiple of the width; `%` cuts towards zero here too."""
        return f"({expression} - (({expression} % {width}) + {width}) % {width})"

    def histogram(self, expression: str, edges: Sequence[int]) -> Fragment:
        """Return an array of conditional counts."""
        lows, highs = [None, *edges], [*edges, None]
        counts = []
        for low, high in zip(lows, highs, strict=True):
            parts = [f"{expression} > {int(low)}"] if low is not None else []
            parts += [f"{expression} <= {int(high)}"] if high is not None else []
            counts.append(f"countIf({' AND '.join(parts) or f'{expression} IS NOT NULL'})")
        return f"[{', '.join(counts)}]", []

    def ratio(self, above: str, below: str) -> str:
        """Return a quotient that is infinite or null where it cannot be told."""
        return f"CASE WHEN {below} <> 0 THEN toFloat64({above}) / toFloat64({below}) WHEN {above} > 0 THEN inf END"

    def absent(self, keys: Sequence[str], names: Sequence[str], table: str) -> str:
        """Return `NOT IN`, told to every server of a cluster where the table is a distributed one."""
        if not keys:
            return f"(SELECT count() FROM {table}) = 0"
        left = keys[0] if len(keys) == 1 else f"({', '.join(keys)})"
        return f"{left} GLOBAL NOT IN (SELECT {', '.join(names)} FROM {table})"

    def packed(self, address: str) -> str:
        """Return the address as it is: IPv6 is 16 bytes in place."""
        return address

    def unpacked(self, packed: str) -> str:
        """Return the address as it is."""
        return packed

    def text(self, expression: str) -> str:
        """Return the expression as a String that may be null."""
        return f"CAST({expression}, 'Nullable(String)')"

    def temporary(self, name: str, select: str) -> str:
        """Return `CREATE TEMPORARY TABLE`, which lasts as long as the session of the HTTP interface."""
        return f"CREATE TEMPORARY TABLE {name} ENGINE = Memory AS {select}"


CLICKHOUSE = ClickHouse()


def bind(statement: Fragment) -> tuple[str, dict[str, str]]:
    """Return a statement with the values of its `?` in ClickHouse's form, and the texts that go beside it.

    Texts are parameters of the query (`{p0:String}`). Numbers and addresses are written out, which is safe, as they are
    made of digits; floats by their bits, as ClickHouse reads decimals a digit short.

    Args:
        statement: Text with `?`, and its values in order.
    """
    text, values = statement
    texts: dict[str, str] = {}
    left = iter(values)

    def place(match: re.Match[str]) -> str:
        return _written(next(left), texts) if match.group() == "?" else match.group()

    bound = _PLACES.sub(place, text)
    return bound, {name: value for value, name in texts.items()}


def _written(value: Any, texts: dict[str, str]) -> str:
    match value:
        case str():
            return f"{{{texts.setdefault(value, f'p{len(texts)}')}:String}}"
        case bytes():
            return f"toIPv6('{ipaddress.IPv6Address(value)}')"
        case bool() | int():
            number = int(value)
            if _I64_MIN <= number <= _U64_MAX:
                return str(number) if number >= 0 else f"({number})"
            return f"toInt256('{number}')"
        case float():
            (bits,) = struct.unpack("<Q", struct.pack("<d", value))
            return f"reinterpretAsFloat64(toUInt64({bits}))"
        case None:
            return "NULL"
        case _:
            raise TypeError(f"{type(value).__name__} has no form in ClickHouse")
