"""The ports of a NAT's addresses: which are free, and which one an end behind it gets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

End = tuple[bytes, bytes]  #: an address, packed, and a port as two bytes


@dataclass(slots=True)
class Ports:
    """The free ports of some outside addresses.

    An end keeps its own port number if that is free (RFC 4787, 4.2.1 calls it port preservation); else it gets the
    one that has been free longest, so that a late packet of an earlier session rarely meets a new one.

    Args:
        addresses: Outside addresses, packed, of either IP version.
        low: Lowest port.
        high: Highest port.
    """

    addresses: tuple[bytes, ...]
    low: int
    high: int
    _free: dict[bytes, dict[int, None]] = field(init=False)

    def __post_init__(self) -> None:
        self._free = {address: dict.fromkeys(range(self.low, self.high + 1)) for address in self.addresses}

    def for_size(self, size: int) -> Iterable[bytes]:
        """Return the outside addresses of so many bytes."""
        return (address for address in self.addresses if len(address) == size)

    def has_free(self, size: int) -> bool:
        """Return whether an address of so many bytes has a free port."""
        return any(self._free[address] for address in self.for_size(size))

    def take(self, size: int, wanted: int) -> End | None:
        """Return a free outside end, with a port if that is free; None when there is none.

        Args:
            size: Bytes of its address.
            wanted: The port that it should have.
        """
        for address in self.for_size(size):
            free = self._free[address]
            if free:
                port = wanted if wanted in free else next(iter(free))
                del free[port]
                return address, port.to_bytes(2, "big")
        return None

    def give_back(self, end: End) -> None:
        """Make an outside end free again."""
        self._free[end[0]][int.from_bytes(end[1], "big")] = None

    def owns(self, address: bytes, port: bytes) -> bool:
        """Return whether an outside end is of this NAT, free or taken."""
        return address in self._free and self.low <= int.from_bytes(port, "big") <= self.high
