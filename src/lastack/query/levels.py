"""How many sessions are in a state at a time: what begins, less what ended, added up from the first on.

A sum over buckets counts events; a level counts what lasts, as a session table or a backlog does. The value of a bucket
is the level at its end. A session that is still in the state when the capture ends stays in the level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lastack.query.measures import Atom, Fold, Measure
from lastack.query.metrics import Kind, Metric, Shape


@dataclass(frozen=True, slots=True)
class Level:
    """A state that sessions are in for a while.

    Attributes:
        name: As people write it.
        begin: When a session enters it.
        end: When it leaves it.
        where: Sessions that enter it at all, as a filter.
        ended: Of them, those that leave it before the capture ends, as a filter.
        help: One sentence for people.
    """

    name: str
    begin: Metric
    end: Metric
    where: str
    ended: str
    help: str

    @property
    def measure(self) -> Measure:
        """The level as a measure, for titles and units."""
        return Measure(self.name, Kind.number, Atom(Fold.count), help=self.help)


def _time(*columns: str) -> Metric:
    shape = Shape.total if len(columns) == 2 else Shape.column
    return Metric("time", Kind.time, shape, columns, "moment")


#: Every level by its name.
LEVELS: dict[str, Level] = {
    level.name: level
    for level in (
        Level(
            "half_closed_now",
            _time("first_fin_ns"),
            _time("first_fin_ns", "half_closed_ns"),
            "half_closed is not null and first_fin is not null",
            "ending != half_closed",
            "sessions of which one end has closed, and the other has not, at a time",
        ),
        Level(
            "open_now",
            _time("start_ns"),
            _time("end_ns"),
            "opening in {established, simultaneous, midstream}",
            "ending not in {open, half_closed}",
            "sessions that were established and have not ended, at a time",
        ),
    )
}


def running(begun: Mapping[int, int], ended: Mapping[int, int], starts: Sequence[int]) -> list[int]:
    """Return the level at the end of each bucket.

    Args:
        begun: Start of a bucket -> sessions that entered the state in it.
        ended: Start of a bucket -> sessions that left it.
        starts: All buckets, in order, without holes.
    """
    level, levels = 0, []
    for start in starts:
        level += begun.get(start, 0) - ended.get(start, 0)
        levels.append(level)
    return levels
