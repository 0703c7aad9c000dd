"""The words of SQL that engines spell differently, a dozen of them, so that questions are written once.

Everything that asks an engine builds its text from these. DuckDB reads the Parquet segments of a dataset; another
engine is another class here. Values are bound (`?`), never written into the text; names are quoted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

#: A piece of SQL and the values of its `?`, in order.
Fragment = tuple[str, list[Any]]


class Dialect(Protocol):
    """What an engine must be able to say; DuckDB's form of each is the model of what it means."""

    def name(self, text: str) -> str:
        """Return an identifier, quoted."""

    def source(self, files: Sequence[str]) -> Fragment:
        """Return what stands after FROM to read Parquet files as one table."""

    def signed(self, expression: str) -> str:
        """Return an integer expression wide enough that adding two never wraps."""

    def wide(self, expression: str) -> str:
        """Return an integer expression in 128 bits."""

    def real(self, expression: str) -> str:
        """Return an expression as a double."""

    def single(self, expression: str) -> str:
        """Return an expression as a 32-bit float, which is what float columns hold."""

    def matches(self, expression: str) -> str:
        """Return a test whether an RE2 pattern (bound) matches a whole text, `.` matching newlines too."""

    def known(self, condition: str, expression: str) -> str:
        """Return a condition on an expression that may be null, false where it is."""

    def count_if(self, condition: str) -> str:
        """Return the number of rows for which a condition is true."""

    def sum(self, expression: str) -> str:
        """Return an exact sum of integers, 0 over no rows."""

    def real_sum(self, expression: str) -> str:
        """Return a sum of floats as a double, 0 over no rows."""

    def extreme(self, word: str, expression: str) -> str:
        """Return the `min` or `max` of an expression, null over no rows."""

    def quantile(self, expression: str, share: float, together: Sequence[float] = ()) -> str:
        """Return the smallest value that at least this share of the values do not exceed (nearest rank).

        Args:
            expression: The values.
            share: The share.
            together: All shares of these values that a statement asks for, this one included, in order.
        """

    def distinct(self, expression: str) -> str:
        """Return the exact number of different values."""

    def least_if(self, expression: str, condition: str) -> str:
        """Return the smallest value among rows for which a condition is true."""

    def bucket(self, expression: str, width: int) -> str:
        """Return the start of the bucket of a fixed width that an integer is in; buckets begin at multiples."""

    def histogram(self, expression: str, edges: Sequence[int]) -> Fragment:
        """Return a list of counts: of values up to each edge and above the one before, then of those above all."""

    def ratio(self, above: str, below: str) -> str:
        """Return a quotient as a double: infinite for something over nothing, null for nothing over nothing."""

    def absent(self, keys: Sequence[str], names: Sequence[str], table: str) -> str:
        """Return a test that no row of a table has these keys in the columns of these names; null equals null.

        Without keys, the test is that the table has no row.
        """

    def text(self, expression: str) -> str:
        """Return an expression as a text that may be null."""

    def temporary(self, name: str, select: str) -> str:
        """Return the statement that keeps a result under a name for as long as the connection lasts."""

    def packed(self, address: str) -> str:
        """Return an address as a type that is quick to group by and sorts as its bytes do."""

    def unpacked(self, packed: str) -> str:
        """Return what was packed as 16 bytes again."""


class DuckDb:
    """The words of DuckDB."""

    def name(self, text: str) -> str:
        """Return an identifier in double quotes."""
        return '"' + text.replace('"', '""') + '"'

    def source(self, files: Sequence[str]) -> Fragment:
        """Return `read_parquet` of the files."""
        return "read_parquet(?)", [list(files)]

    def signed(self, expression: str) -> str:
        """Return the expression as BIGINT."""
        return f"{expression}::BIGINT"

    def wide(self, expression: str) -> str:
        """Return the expression as HUGEINT."""
        return f"{expression}::HUGEINT"

    def real(self, expression: str) -> str:
        """Return the expression as DOUBLE."""
        return f"{expression}::DOUBLE"

    def single(self, expression: str) -> str:
        """Return the expression as FLOAT."""
        return f"{expression}::FLOAT"

    def matches(self, expression: str) -> str:
        """Return `regexp_full_match`."""
        return f"regexp_full_match({expression}, ?, 's')"

    def known(self, condition: str, expression: str) -> str:
        """Return `coalesce`: a condition on null is null."""
        return f"coalesce({condition}, false)"

    def count_if(self, condition: str) -> str:
        """Return a filtered count, which skips other aggregates' rows cheaply."""
        return f"count(*) FILTER (WHERE {condition})"

    def sum(self, expression: str) -> str:
        """Return the sum (DuckDB adds integers in 128 bits)."""
        return f"coalesce(sum({expression}), 0)"

    def real_sum(self, expression: str) -> str:
        """Return the sum (DuckDB adds floats as doubles)."""
        return f"coalesce(sum({expression}), 0)"

    def extreme(self, word: str, expression: str) -> str:
        """Return the aggregate of that name."""
        return f"{word}({expression})"

    def quantile(self, expression: str, share: float, together: Sequence[float] = ()) -> str:
        """Return `quantile_disc`, which is the nearest rank; of several shares it keeps and orders the values once."""
        if len(together) < 2:
            return f"quantile_disc({expression}, {share!r})"
        shares = ", ".join(map(repr, together))
        return f"quantile_disc({expression}, [{shares}])[{list(together).index(share) + 1}]"

    def distinct(self, expression: str) -> str:
        """Return an exact count of distinct values."""
        return f"count(DISTINCT {expression})"

    def least_if(self, expression: str, condition: str) -> str:
        """Return a filtered minimum."""
        return f"min({expression}) FILTER (WHERE {condition})"

    def bucket(self, expression: str, width: int) -> str:
        """Return the floor to a multiple of the width; `%` cuts towards zero, so times before 1970 need the sum."""
        return f"({expression} - (({expression} % {width}) + {width}) % {width})"

    def histogram(self, expression: str, edges: Sequence[int]) -> Fragment:
        """Return the values of DuckDB's histogram map; its last key stands for all that is above the edges."""
        bins = ", ".join(str(int(edge)) for edge in edges)
        return f"map_values(histogram({expression}, [{bins}]::BIGINT[]))", []

    def ratio(self, above: str, below: str) -> str:
        """Return a quotient that is infinite or null where it cannot be told, and never an error."""
        return (
            f"CASE WHEN {below} <> 0 THEN {above}::DOUBLE / {below}::DOUBLE "
            f"WHEN {above} > 0 THEN 'infinity'::DOUBLE END"
        )

    def absent(self, keys: Sequence[str], names: Sequence[str], table: str) -> str:
        """Return `NOT EXISTS`, with `IS NOT DISTINCT FROM` for each key."""
        same = [f"listed.{n} IS NOT DISTINCT FROM {key}" for n, key in zip(names, keys, strict=True)]
        # A table of the keys alone: its other columns could have the names of session columns.
        listed = f"(SELECT {', '.join(names) or '1'} FROM {table}) AS listed"
        return f"NOT EXISTS (SELECT 1 FROM {listed} WHERE {' AND '.join(same) or 'true'})"

    def text(self, expression: str) -> str:
        """Return the expression as VARCHAR."""
        return f"({expression})::VARCHAR"

    def temporary(self, name: str, select: str) -> str:
        """Return `CREATE TEMP TABLE`."""
        return f"CREATE TEMP TABLE {name} AS {select}"

    def packed(self, address: str) -> str:
        """Return the address as a UUID: 16 bytes in place, where a BLOB of more than 12 is a pointer."""
        return f"{address}::UUID"

    def unpacked(self, packed: str) -> str:
        """Return the UUID as a BLOB."""
        return f"{packed}::BLOB"


DUCKDB: Dialect = DuckDb()
