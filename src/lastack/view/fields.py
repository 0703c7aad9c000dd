"""The session record as a table for people: name, short names, type, unit, meaning, vocabulary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lastack.model.fields import FIELDS, Field
from lastack.query.metrics import METRICS, Shape
from lastack.view.page import Page


@dataclass(frozen=True, slots=True)
class FieldFact:
    """A field with the other names it has in filters."""

    field: Field
    aliases: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """All names."""
        return (self.field.name, *self.aliases)

    @property
    def type(self) -> str:
        """The type in words, `or null` where the value may be absent."""
        return f"{self.field.type} or null" if self.field.nullable else self.field.type

    @property
    def members(self) -> tuple[str, ...]:
        """Members of its vocabulary."""
        return tuple(member.name for member in self.field.enum) if self.field.enum is not None else ()


def field_facts() -> list[FieldFact]:
    """Return every field of the record, in the order of the record."""
    aliases: dict[str, list[str]] = {}
    for metric in METRICS.values():
        if metric.shape is Shape.column and metric.name != metric.columns[0]:
            aliases.setdefault(metric.columns[0], []).append(metric.name)
    return [FieldFact(field, tuple(aliases.get(field.name, ()))) for field in FIELDS]


def totals() -> list[tuple[str, str]]:
    """Return the names that are computed from two columns, with their meaning."""
    return [(m.name, m.help) for m in METRICS.values() if m.shape is not Shape.column]


def render_text(facts: Sequence[FieldFact]) -> str:
    """Return the table for a terminal."""
    page = Page()
    width = max(len(fact.field.name) for fact in facts)
    for fact in facts:
        unit = f", {fact.field.unit}" if fact.field.unit else ""
        page.say(f"{fact.field.name:<{width}}  {fact.field.help} [{fact.type}{unit}]", "", " " * (width + 2))
        if fact.aliases:
            page.say(f"also {', '.join(fact.aliases)}", " " * (width + 2), style="dim")
        if fact.members:
            page.say(" | ".join(fact.members), " " * (width + 2), style="dim")
    return page.text()


def render_entries(facts: Sequence[FieldFact]) -> str:
    """Return, as Markdown, what one entry of each list among the fields holds."""
    lines: list[str] = []
    for fact in facts:
        if not fact.field.members:
            continue
        lines += ["", f"## One entry of `{fact.field.name}`", ""]
        lines += ["| name | type | unit | meaning |", "| --- | --- | --- | --- |"]
        for member in map(_plain_fact, fact.field.members):
            lines.append(
                f"| `{member.field.name}` | {member.type} | {member.field.unit} | {_meaning(member)} |"
            )
    return "\n".join(lines) + "\n"


def _plain_fact(field: Field) -> FieldFact:
    return FieldFact(field, ())


def _meaning(fact: FieldFact) -> str:
    values = f": {', '.join(f'`{member}`' for member in fact.members)}" if fact.members else ""
    return f"{fact.field.help}{values}"


def render_json(facts: Sequence[FieldFact]) -> list[dict[str, Any]]:
    """Return the table as JSON values."""
    return [
        {
            "name": fact.field.name,
            "aliases": list(fact.aliases),
            "type": fact.field.type,
            "nullable": fact.field.nullable,
            "unit": fact.field.unit,
            "help": fact.field.help,
            "values": list(fact.members),
            "entry": [
                {"name": m.name, "type": m.type, "nullable": m.nullable, "unit": m.unit, "help": m.help}
                for m in fact.field.members
            ],
        }
        for fact in facts
    ]


def render_markdown(facts: Sequence[FieldFact]) -> str:
    """Return the table as Markdown."""
    lines = ["| name | in filters also | type | unit | meaning |", "| --- | --- | --- | --- | --- |"]
    for fact in facts:
        also = ", ".join(f"`{alias}`" for alias in fact.aliases)
        name = f"`{fact.field.name}`"
        lines.append(f"| {name} | {also} | {fact.type} | {fact.field.unit} | {_meaning(fact)} |")
    return "\n".join(lines) + "\n"
