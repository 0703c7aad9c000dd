"""Parameters of the API: declared once, read from a query string, described in OpenAPI."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lastack.model.errors import UsageError
from lastack.model.units import parse_duration_ns
from lastack.query.ast import Node
from lastack.query.metrics import METRICS, nearest
from lastack.query.parse import parse_filter
from lastack.query.series import all_of
from lastack.query.values import read_number

_LONGEST = 8_000  # characters of one value
_MOST_NS = 2**62


class BadParameterError(UsageError):
    """A parameter of a request means nothing.

    Args:
        name: The parameter.
        reason: Why.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(reason)
        self.name = name


@dataclass(frozen=True, slots=True)
class Param:
    """One parameter of a query string.

    Attributes:
        name: As it is written.
        kind: `text`, `filter`, `time`, `duration`, `whole`, `number` or `flag`.
        help: One sentence for people.
        default: Its value when it is not given, None for none.
        choices: Values that it may have, empty for any.
        low: Smallest number, and the largest.
        high: The largest number.
        required: It must be given.
        example: For the documentation.
        pattern: Regular expression for the documentation; reading checks more.
    """

    name: str
    kind: str
    help: str
    default: Any = None
    choices: tuple[str, ...] = ()
    low: float = 0
    high: float = 1_000_000
    required: bool = False
    example: str = ""
    pattern: str = ""

    def read(self, text: str) -> Any:
        """Return the value of a text.

        Raises:
            BadParameterError: It is none.
        """
        if len(text) > _LONGEST:
            raise BadParameterError(self.name, f"{self.name} has more than {_LONGEST:,} characters")
        if self.choices and text not in self.choices:
            near = nearest(text, list(self.choices))
            hint = f"did you mean {near}?" if near else f"one of {', '.join(self.choices)}"
            raise BadParameterError(self.name, f"{self.name}: {text[:80]!r} is not known: {hint}")
        try:
            return _READ[self.kind](self, text)
        except BadParameterError:
            raise
        except UsageError as error:
            raise BadParameterError(self.name, str(error)) from None
        except (ValueError, OverflowError) as reason:
            raise BadParameterError(self.name, f"{self.name}: {reason}") from None

    def schema(self) -> dict[str, Any]:
        """Return its JSON schema."""
        types = {"whole": "integer", "number": "number", "flag": "boolean"}
        schema: dict[str, Any] = {"type": types.get(self.kind, "string")}
        if self.kind == "flag":
            schema = {"anyOf": [{"type": "boolean"}, {"enum": ["", "1", "0", "yes", "no"]}]}
        if self.kind in ("whole", "number"):
            schema |= {"minimum": self.low, "maximum": self.high}
        if self.choices:
            # Nothing after the = means the default, as if the parameter were not there.
            schema["enum"] = [*self.choices, *([] if self.required else [""])]
        if self.pattern:
            schema["pattern"] = self.pattern
        if self.default is not None:
            schema["default"] = self.default
        return schema


def _flag(param: Param, text: str) -> bool:
    if text.casefold() in ("1", "true", "yes", ""):
        return True
    if text.casefold() in ("0", "false", "no"):
        return False
    raise ValueError(f"{text[:40]!r} is neither true nor false")


def _whole(param: Param, text: str) -> int:
    if not text.removeprefix("-").isdecimal() or not text.isascii() or len(text) > 15:
        raise ValueError(f"{text[:40]!r} is not a whole number")
    return int(_within(param, int(text)))


def _number(param: Param, text: str) -> float:
    value = float(text) if len(text) < 40 and text.isascii() else float("nan")
    return _within(param, value)


def _within(param: Param, value: float) -> float:
    if not param.low <= value <= param.high:
        raise ValueError(f"must be from {param.low:,g} to {param.high:,g}")
    return value


def _time(param: Param, text: str) -> int:
    value = int(read_number(METRICS["start_ns"], text))
    if not 0 <= value < _MOST_NS:
        raise ValueError(f"{text[:40]!r} is out of any capture's time")
    return value


def _duration(param: Param, text: str) -> int:
    value = parse_duration_ns(text)
    if not 0 < value < _MOST_NS:
        raise ValueError("must be longer than 0 and shorter than 146 years")
    return value


def _filter(param: Param, text: str) -> tuple[str, Node | None]:
    return text, parse_filter(text)


_READ = {
    "text": lambda param, text: text, "filter": _filter, "time": _time, "duration": _duration, "whole": _whole,
    "number": _number, "flag": _flag,
}  # fmt: skip

#: Nothing after the `=` is the default of a text, and a mistake for a number; a flag is set by its name alone.
_NEVER_EMPTY = frozenset({"flag", "whole", "number"})

FILTER = Param(
    "filter", "filter", "Only sessions that pass a filter.", example="rst.count > 0 and fin.count = 0"
)
SINCE = Param(
    "from", "time", "Only sessions whose last packet is not before this time (UTC, or ns since 1970)."
)
UNTIL = Param("to", "time", "Only sessions whose last packet is before this time.")
#: Parameters of every question about sessions.
WHICH = (FILTER, SINCE, UNTIL)


def read_params(declared: Iterable[Param], given: Mapping[str, list[str]]) -> dict[str, Any]:
    """Return the value of each declared parameter.

    Args:
        declared: The parameters that there are.
        given: Name -> values, as in the query string.

    Raises:
        BadParameterError: One is unknown, twice there, missing, or means nothing.
    """
    known = {param.name: param for param in declared}
    for name, values in given.items():
        if name not in known:
            near = nearest(name, list(known))
            hint = f"did you mean {near}?" if near else f"there are {', '.join(known) or 'none'}"
            raise BadParameterError(name[:80], f"no parameter is called {name[:80]!r} here: {hint}")
        if len(values) > 1:
            raise BadParameterError(name, f"{name} is given {len(values)} times")
    found: dict[str, Any] = {}
    for name, param in known.items():
        text = given.get(name, [""])[0]
        if name in given and (text or param.kind in _NEVER_EMPTY):
            found[name] = param.read(text)
        elif param.required:
            raise BadParameterError(name, f"{name} is missing: {param.help}")
        else:
            found[name] = param.default
    return found


def chosen(values: Mapping[str, Any]) -> Node | None:
    """Return the filter that `filter`, `from` and `to` make together.

    Raises:
        BadParameterError: The time is empty.
    """
    since, until = values.get("from"), values.get("to")
    if since is not None and until is not None and until <= since:
        raise BadParameterError("to", "to: this time is not after `from`")
    given = values.get("filter")
    parts = [given[1] if given else None]
    if since is not None:
        parts.append(parse_filter(f"end_ns >= {since}"))
    if until is not None:
        parts.append(parse_filter(f"end_ns < {until}"))
    return all_of(*parts)
