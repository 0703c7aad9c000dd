"""What is worth knowing of zones and applications that are right as written: overlaps, and what never matches."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from lastack.firewall.problems import Problem, Severity
from lastack.query.zones import Application, Block, Classes, Zone

#: Pairs of zones that are compared at most; beyond, overlaps are not told.
_MOST_PAIRS = 4_000_000
#: Overlaps of two zones that are told one by one.
_TOLD = 3


def overlaps(classes: Classes) -> list[Problem]:
    """Return warnings about what never matches, and notes about overlaps and who wins them."""
    return [*_zone_overlaps(classes.by_priority), *_app_overlaps(classes.applications)]


def _zone_overlaps(zones: Sequence[Zone]) -> Iterator[Problem]:
    if len(zones) ** 2 // 2 > _MOST_PAIRS:
        yield Problem(Severity.note, "zones", f"{len(zones):,} zones are too many to look for overlaps")
        return
    for place, zone in enumerate(zones):
        hidden = False
        for earlier in zones[:place]:
            if _covers(earlier, zone):
                yield Problem(
                    Severity.warning,
                    zone.path,
                    f"never matches: all of it is in zone {earlier.name!r}, which is asked before it",
                    f"give it a priority below {earlier.priority}",
                )
                hidden = True
                break
        if not hidden:
            for earlier in zones[:place]:
                yield from _pair(earlier, zone)


def _pair(earlier: Zone, later: Zone) -> Iterator[Problem]:
    """Tell which addresses are in two zones, unless the narrower one comes first, as it should."""
    if not _vlans_meet(earlier, later):
        return
    told = 0
    for mine in later.blocks:
        for other in earlier.blocks:
            if mine.low > other.high or other.low > mine.high:
                continue
            if mine.low <= other.low and other.high <= mine.high and mine != other:
                continue  # a part of this zone is carved out by one that is asked before: the usual way
            told += 1
            if told <= _TOLD:
                yield Problem(
                    Severity.note,
                    later.path,
                    f"{mine.text} overlaps {other.text} of zone {earlier.name!r}, which is asked before it and gets "
                    "what is in both",
                )


def _covers(outer: Zone, inner: Zone) -> bool:
    """Return whether every end in one zone is in another one too (never wrongly yes)."""
    vlans = not outer.vlans or (
        bool(inner.vlans) and all(any(a <= c and d <= b for a, b in outer.vlans) for c, d in inner.vlans)
    )
    if not vlans:
        return False
    if not outer.blocks:
        return True
    return bool(inner.blocks) and all(_inside(block, outer.blocks) for block in inner.blocks)


def _inside(block: Block, others: Sequence[Block]) -> bool:
    return any(other.low <= block.low and block.high <= other.high for other in others)


def _vlans_meet(first: Zone, second: Zone) -> bool:
    if not first.vlans or not second.vlans:
        return True
    return any(a <= d and c <= b for a, b in first.vlans for c, d in second.vlans)


def _app_overlaps(applications: Sequence[Application]) -> Iterator[Problem]:
    for place, app in enumerate(applications):
        for earlier in applications[:place]:
            same = {
                ports
                for ports in app.ports or ((0, 65_535),)
                if ports in (earlier.ports or ((0, 65_535),)) and _zones_meet(app, earlier)
            }
            if same and app.name != earlier.name:
                texts = ", ".join(_range_text(ports) for ports in sorted(same))
                yield Problem(
                    Severity.warning,
                    app.path,
                    f"port {texts} is in {earlier.name!r} too, with zones that are as precise: {earlier.name!r} "
                    "gets it, as it is written first",
                    "name zones in one of them",
                )


def _zones_meet(first: Application, second: Application) -> bool:
    """Return whether two applications are equally precise about zones and can be meant at the same time."""
    for mine, other in (
        (first.client_zones, second.client_zones),
        (first.server_zones, second.server_zones),
    ):
        if bool(mine) != bool(other) or (mine and not set(mine) & set(other)):
            return False
    return True


def _range_text(ports: tuple[int, int]) -> str:
    low, high = ports
    return str(low) if low == high else "any" if ports == (0, 65_535) else f"{low}-{high}"
