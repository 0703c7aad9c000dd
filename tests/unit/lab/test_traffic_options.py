"""Values of the traffic generator's options."""

from __future__ import annotations

import click
import pytest

from lastack.cli.lab_traffic_options import Rate, Several, Size, port_of
from lastack.model.errors import UsageError


@pytest.mark.parametrize(
    ("text", "bits"), [("0", 0), ("500k", 500_000), ("1.5M", 1_500_000), ("1Gbit/s", 10**9), ("9bps", 9)]
)
def test_rate__is_in_bits_a_second(text: str, bits: int) -> None:
    assert Rate().convert(text, None, None) == bits


@pytest.mark.parametrize("text", ["", "fast", "-1", "1T", "1 M", "1MB"])
def test_rate__nonsense_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Rate().convert(text, None, None)


def test_several__are_separated_by_commas() -> None:
    assert Several(Size()).convert("1kB, 2MiB", None, None) == (1000, 2 << 20)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("a", "a", 5), ("a:7", "a", 7), ("[::1]:7", "::1", 7), ("[::1]", "::1", 5), ("::1", "::1", 5)],
)
def test_port_of__takes_every_way_to_write_an_address(text: str, host: str, port: int) -> None:
    assert port_of(text, 5) == (host, port)


def test_port_of__a_port_is_a_port() -> None:
    with pytest.raises(UsageError, match="1 to 65535"):
        port_of("a:70000", 5)
