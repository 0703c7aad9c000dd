"""Makes the NAT that a command line describes."""

from __future__ import annotations

import ipaddress
import json
import subprocess
from dataclasses import dataclass

from lastack.emulator.nat import Nat, NatOptions
from lastack.model.errors import UsageError

OUTSIDE = "outside"


@dataclass(frozen=True, slots=True)
class NatWords:
    """What a command line says about a NAT.

    Attributes:
        addresses: Outside addresses; `outside` means those of the outside interface.
        ports: The lowest and the highest port that it hands out.
        dependent: A port for each session, not for each inside end.
        open_filter: Anybody outside may begin a session with a mapped port.
    """

    addresses: tuple[str, ...]
    ports: tuple[int, int] = (10_000, 65_535)
    dependent: bool = False
    open_filter: bool = False


def make_nat(words: NatWords, outside: str) -> Nat:
    """Return the NAT.

    Args:
        words: What it is to do.
        outside: Name of the outside interface, which must exist in this network namespace.

    Raises:
        UsageError: An address is none, or the interface has none.
    """
    found: list[bytes] = []
    for text in words.addresses:
        if text == OUTSIDE:
            found += _addresses_of(outside)
            continue
        try:
            found.append(ipaddress.ip_address(text).packed)
        except ValueError:
            raise UsageError(f"--nat {text}: give an address, or the word {OUTSIDE}") from None
    return Nat(NatOptions(tuple(dict.fromkeys(found)), *words.ports, words.dependent, words.open_filter))


def _addresses_of(device: str) -> list[bytes]:
    """Return the first global IPv4 and the first global IPv6 address of an interface."""
    try:
        done = subprocess.run(
            ["ip", "-j", "address", "show", "dev", device, "scope", "global"],
            capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise UsageError("a routed box needs ip (apt-get install iproute2)") from error
    if done.returncode:
        raise UsageError(f"interface {device}: {done.stderr.strip()}")
    by_family: dict[str, bytes] = {}
    for link in json.loads(done.stdout or "[]"):
        for address in link.get("addr_info", []):
            by_family.setdefault(address["family"], ipaddress.ip_address(address["local"]).packed)
    if not by_family:
        raise UsageError(f"--nat {OUTSIDE}: interface {device} has no address; give one")
    return list(by_family.values())
