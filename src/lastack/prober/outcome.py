"""What became of one attempt to open a connection: four results, never two."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Opening(StrEnum):
    """How a target answered."""

    up = "up"  # SYN-ACK, or whatever else the module wants
    refused = "refused"  # RST
    unreachable = "unreachable"  # an ICMP error, or no answer to ARP or neighbour discovery
    filtered = "filtered"  # silence
    failed = "failed"  # it opened, but the rest of the module's conversation did not work
    error = "error"  # this host could not ask


@dataclass(frozen=True, slots=True)
class Result:
    """The answer of a target to one probe.

    Attributes:
        opening: How it answered.
        rtt_ns: From the SYN that was answered to its answer; None without one.
        attempts: SYNs that were sent.
        icmp_type: Of the error; None without.
        icmp_code: Of the error; None without.
        reporter: Who sent the error, empty without.
        detail: For people: what exactly happened.
        mismatched: An answer came, and was not what the module expects.
    """

    opening: Opening
    rtt_ns: int | None = None
    attempts: int = 1
    icmp_type: int | None = None
    icmp_code: int | None = None
    reporter: str = ""
    detail: str = ""
    mismatched: bool = False

    @property
    def up(self) -> bool:
        """Whether the target counts as up."""
        return self.opening is Opening.up


_ICMP4 = {
    (3, 0): "network unreachable",
    (3, 1): "host unreachable",
    (3, 2): "protocol unreachable",
    (3, 3): "port unreachable",
    (3, 4): "fragmentation needed",
    (3, 9): "network prohibited",
    (3, 10): "host prohibited",
    (3, 13): "administratively prohibited",
    (11, 0): "hop limit exceeded",
}
_ICMP6 = {
    (1, 0): "no route",
    (1, 1): "administratively prohibited",
    (1, 3): "address unreachable",
    (1, 4): "port unreachable",
    (1, 5): "source address policy",
    (1, 6): "route rejected",
    (3, 0): "hop limit exceeded",
}


def icmp_words(version: int, kind: int, code: int) -> str:
    """Return an ICMP error in words (RFC 792, RFC 1812, RFC 4443)."""
    known = (_ICMP4 if version == 4 else _ICMP6).get((kind, code))
    return known or f"ICMP{'' if version == 4 else 'v6'} type {kind} code {code}"
