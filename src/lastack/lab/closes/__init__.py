"""Patterns of opening and closing, made by real kernel stacks, each with what must be found in its capture."""

from lastack.lab.closes import closing, failing, forgetting, opening, resets, wrapped
from lastack.lab.closes.labels import Label, from_toml, to_toml
from lastack.lab.closes.pattern import Pattern
from lastack.lab.closes.play import Played, play, play_all, unmet

FAMILIES = {
    "opening": opening.PATTERNS,
    "closing": closing.PATTERNS,
    "resets": resets.PATTERNS,
    "failing": failing.PATTERNS,
    "forgetting": forgetting.PATTERNS,
    "wrapped": wrapped.PATTERNS,
}
#: Every pattern by its name.
PATTERNS: dict[str, Pattern] = {each.name: each for family in FAMILIES.values() for each in family}

__all__ = [
    "FAMILIES",
    "PATTERNS",
    "Label",
    "Pattern",
    "Played",
    "from_toml",
    "play",
    "play_all",
    "to_toml",
    "unmet",
]
