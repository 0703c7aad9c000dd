"""What more sessions, or a SYN flood, do to a session table: how full it gets, how soon, and what happens then.

Entries are arrivals times holding time (Little's law); twice the sessions are twice the entries. What a full table
refuses is the overload formula of the Erlang loss system in its fluid limit: offered load A on S places, S / A of the
arrivals get in (A. K. Erlang, 1917; exact as S grows).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from lastack.firewall.table import Room


@dataclass(frozen=True, slots=True)
class Load:
    """A table under a constant load.

    Attributes:
        size: Entries it holds; 0 without a limit.
        offered: Entries that it would settle at without a limit.
        settles: Entries that it settles at.
        seconds_to_full: Time until it is full from where it began; None when it never is.
        refused: Share of new sessions that get no entry (or push an older one out) once it is full.
        factor: What timers are multiplied by where the box shortens them.
    """

    size: int
    offered: float
    settles: float
    seconds_to_full: float | None
    refused: float
    factor: float = 1.0


def load(size: int, begin: float, per_s: float, hold_s: float) -> Load:
    """Return what a steady stream of new entries does to a table.

    Args:
        size: Entries it holds; 0 for no limit.
        begin: Entries of other sessions, all the time.
        per_s: New entries per second.
        hold_s: How long each stands; may be infinite.
    """
    offered = begin + (per_s * hold_s if per_s else 0.0)
    if not size or offered <= size:
        return Load(size, offered, offered, None, 0.0)
    if begin >= size:
        return Load(size, offered, size, 0.0, 1 - size / offered)
    return Load(size, offered, float(size), (size - begin) / per_s, 1 - size / offered)


def scaled(found: Load, room: Room) -> Load:
    """Return the load on a box that shortens its timers when the table fills.

    Above `scale_from` entries timers are divided by a constant (accelerated aging), or shrink in a straight line to
    nothing at `scale_to` (adaptive timeouts); entries shrink with them.
    """
    if not room.scale_from or found.offered <= room.scale_from:
        return found
    if room.scale_to:
        # n = offered * (to - n) / (to - from), solved for n
        span = room.scale_to - room.scale_from
        settles = (
            found.offered * room.scale_to / (found.offered + span)
            if math.isfinite(found.offered)
            else room.scale_to
        )
        factor = (room.scale_to - settles) / span
    else:
        factor = 1 / room.scale_by
        # It goes to and fro around the threshold when the shorter timers bring it below.
        settles = max(float(room.scale_from), found.offered * factor)
    if settles <= found.size or not found.size:
        return Load(found.size, found.offered, settles, None, 0.0, factor)
    offered = found.offered * factor
    return Load(
        found.size, found.offered, float(found.size), found.seconds_to_full, 1 - found.size / offered, factor
    )
