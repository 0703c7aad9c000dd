"""Reads values out of a parsed TOML document and notes every mistake with its key path.

Knows no file and no meaning: `lastack.firewall.schema` and `lastack.firewall.policy_schema` say which keys there are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, TypeVar

from lastack.firewall.problems import Problem, Severity, near
from lastack.model.units import NS_PER_S, parse_duration_ns

E = TypeVar("E", bound=StrEnum)
_MISSING: Any = object()
#: Longest duration that is taken: 2^62 ns, 146 years.
LONGEST_NS = 2**62


class Node:
    """One table of a document.

    Args:
        values: The table.
        path: Its key path.
        problems: Where mistakes are noted; shared by all tables of a document.
    """

    def __init__(self, values: Any, path: str, problems: list[Problem]) -> None:
        self.path = path
        self.problems = problems
        self._known: set[str] = set()
        if not isinstance(values, Mapping):
            self.error("", f"must be a table, not {_kind(values)}")
            values = {}
        self.values: Mapping[str, Any] = values

    def at(self, key: str) -> str:
        """Return the key path of a key of this table."""
        return f"{self.path}.{key}" if self.path and key else self.path or key

    def error(self, key: str, message: str, remedy: str = "") -> None:
        """Note a mistake."""
        self.problems.append(Problem(Severity.error, self.at(key), message, remedy))

    def warn(self, key: str, message: str, remedy: str = "") -> None:
        """Note something that is accepted and worth knowing."""
        self.problems.append(Problem(Severity.warning, self.at(key), message, remedy))

    def has(self, key: str) -> bool:
        """Return whether a key is written, and know it from now on."""
        self._known.add(key)
        return key in self.values

    def text(self, key: str, default: str = _MISSING) -> str:
        """Return a string."""
        return str(self._get(key, str, "a text", default, ""))

    def flag(self, key: str, default: bool = _MISSING) -> bool:
        """Return true or false."""
        return bool(self._get(key, bool, "true or false", default, False))

    def whole(self, key: str, default: int = _MISSING, least: int = 0) -> int:
        """Return a whole number of at least `least`."""
        number = int(self._get(key, int, "a whole number", default, least))
        if number < least and number != default:
            self.error(key, f"{number} is too small", f"give at least {least}")
            return least
        return number

    def number(self, key: str, default: float = _MISSING) -> float:
        """Return a number that is not negative."""
        value = float(self._get(key, (int, float), "a number", default, 0.0))
        if not math.isfinite(value) or value < 0:
            self.error(key, f"{value} is not a number from 0 up")
            return 0.0
        return value

    def seconds(self, key: str, default: Any = _MISSING) -> Any:
        """Return the nanoseconds of a number of seconds, None for `"never"`."""
        value = self._get(key, (int, float, str), "a number of seconds", default, None)
        if value is default or value is None:
            return default if default is not _MISSING else None
        if value == "never":
            return None
        return self._ns(key, value)

    def duration(self, key: str) -> int | None:
        """Return the nanoseconds of a duration with a unit (`"30s"`), None for `"never"`."""
        value = self._get(key, (str, int, float), "a duration such as 30s", _MISSING, "0s")
        if value == "never":
            return None
        if not isinstance(value, str):
            self.error(key, f"{value} has no unit", f'write "{value}s" for seconds')
            return 0
        return self._ns(key, value)

    def word(self, key: str, words: type[E], default: E | None = None) -> E:
        """Return a member of a vocabulary."""
        text = self._get(key, str, "a text", _MISSING if default is None else default, next(iter(words)))
        try:
            return words(text)
        except ValueError:
            self.error(
                key, f"{text!r} is not one of its words", near(text, [member.value for member in words])
            )
            return default or next(iter(words))

    def words(
        self, key: str, names: Sequence[str] | None = None, default: Sequence[str] = ()
    ) -> tuple[str, ...]:
        """Return a list of texts, each one of `names` when they are given."""
        value = self._get(key, list, "a list of texts", default, [])
        found = []
        for item in value:
            if not isinstance(item, str):
                self.error(key, f"{item!r} is not a text")
            elif names is not None and item not in names:
                self.error(key, f"{item!r} is not one of its words", near(item, names))
            else:
                found.append(item)
        return tuple(found)

    def table(self, key: str) -> Node:
        """Return a table below this one, empty when it is not written."""
        self._known.add(key)
        return Node(self.values.get(key, {}), self.at(key), self.problems)

    def tables(self, key: str) -> list[Node]:
        """Return the tables of an array of tables; the first one's path ends in `[1]`."""
        value = self._get(key, list, "a list of tables", (), [])
        return [
            Node(item, self.at(f"{key}[{number}]"), self.problems) for number, item in enumerate(value, 1)
        ]

    def named(self, key: str) -> dict[str, Node]:
        """Return the tables of a table of tables by name."""
        outer = self.table(key)
        outer._known |= set(outer.values)
        return {name: Node(item, outer.at(name), self.problems) for name, item in outer.values.items()}

    def finish(self) -> None:
        """Refuse the keys that nobody asked for."""
        for key in self.values:
            if key not in self._known:
                self.error(key, "no such key", near(key, self._known))

    def _get(self, key: str, kind: Any, wanted: str, default: Any, instead: Any) -> Any:
        self._known.add(key)
        value = self.values.get(key, _MISSING)
        if value is _MISSING:
            if default is not _MISSING:
                return default
            self.error(key, f"is missing: {wanted}")
            return instead
        wrong_bool = isinstance(value, bool) and kind is not bool
        if wrong_bool or not isinstance(value, kind):
            self.error(key, f"must be {wanted}, not {_kind(value)}")
            return instead if default is _MISSING else default
        return value

    def _ns(self, key: str, value: str | float) -> int:
        try:
            ns = parse_duration_ns(value) if isinstance(value, str) else round(value * NS_PER_S)
        except (ValueError, OverflowError) as reason:
            self.error(key, str(reason))
            return 0
        if not 0 <= ns < LONGEST_NS:
            self.error(key, f"{value} is out of range", 'give 0 to 146 years, or "never"')
            return 0
        return ns


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list):
        return "a list"
    return repr(value)
