"""Both readings of what is not known: the same packets through a box that is read in different ways."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lastack.firewall.table import FOREVER_NS, Box, Table
from lastack.replay.events import Replayed


@dataclass(frozen=True, slots=True)
class Difference:
    """What another reading changes.

    Attributes:
        name: The reading, `question=answer`.
        broken: Sessions that break under it.
        only_here: Of them, those that do not break under the assumed reading.
        only_assumed: Sessions that break under the assumed reading only.
    """

    name: str
    broken: int
    only_here: int
    only_assumed: int

    @property
    def differs(self) -> bool:
        """Whether any session fares differently."""
        return bool(self.only_here or self.only_assumed)


def difference(name: str, assumed: Replayed, other: Replayed) -> Difference:
    """Return what another reading changes, compared with the assumed one."""
    return Difference(
        name,
        len(other.broken_keys),
        len(other.broken_keys - assumed.broken_keys),
        len(assumed.broken_keys - other.broken_keys),
    )


def is_coarse(box: Box) -> bool:
    """Return whether a timer of a box may end an entry later than it is due."""
    return any(timer.resolution_ns for table in box.tables for timer in table.timers)


def at_the_latest(box: Box) -> Box:
    """Return a box whose entries end as late as the resolution of their timers allows."""

    def later(table: Table) -> Table:
        rows = (
            timer
            if timer.ns >= FOREVER_NS
            else replace(timer, ns=timer.ns + timer.resolution_ns, resolution_ns=0)
            for timer in table.timers
        )
        return replace(table, timers=tuple(rows))

    return replace(box, tables=tuple(later(table) for table in box.tables))
