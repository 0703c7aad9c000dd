"""Values of the traffic generator's options: sizes, rates, lists of them, host and port."""

from __future__ import annotations

import re
from typing import Any

import click

_BITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}


class Size(click.ParamType[int]):
    """A number of bytes with a unit: `64KiB`, `10MB`."""

    name = "SIZE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return bytes."""
        from lastack.model.units import parse_size

        if isinstance(value, int):
            return value
        try:
            return parse_size(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Rate(click.ParamType[int]):
    """Bits a second: `500k`, `10M`, `1Gbit/s`; 0 is as fast as TCP goes."""

    name = "RATE"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return bits a second."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?)([kMG]?)(?:bit/s|bps)?", str(value))
        if match is None:
            self.fail(f"{value!r} is not a rate in bits a second, such as 500k or 10M", param, ctx)
        return round(float(match.group(1)) * _BITS[match.group(2)])


class Several(click.ParamType[tuple[Any, ...]]):
    """Values of a kind, separated by commas.

    Args:
        kind: Of one value.
    """

    def __init__(self, kind: click.ParamType[Any]) -> None:
        self._kind = kind
        self.name = f"{kind.name}[,...]"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Any, ...]:
        """Return the values."""
        if isinstance(value, tuple):
            return value
        return tuple(self._kind.convert(word.strip(), param, ctx) for word in str(value).split(","))


def port_of(target: str, default: int) -> tuple[str, int]:
    """Return host and port of `HOST`, `HOST:PORT`, `[IPv6]:PORT` or a bare IPv6 address.

    Raises:
        UsageError: The port is no port.
    """
    from lastack.model.errors import UsageError

    match = re.fullmatch(r"\[(.+)\](?::(\d+))?", target) or re.fullmatch(r"([^:]+)(?::(\d+))?", target)
    host, port = (match.group(1), int(match.group(2) or default)) if match else (target, default)
    if not 0 < port < 65_536:
        raise UsageError(f"{target}: a port is 1 to 65535")
    return host, port
