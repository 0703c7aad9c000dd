"""The names that filters and questions use, each resolved to columns of the session record.

A metric reads one column (`history`), the sum of a client's and a server's column (`rst.count`), or the
span between two times (`duration`). Every field is a metric under its own name; the dotted and shortened names
are derived here from the field registry, so a new field needs no line in this module.
"""

from __future__ import annotations

import difflib
import enum
from collections.abc import Iterator
from dataclasses import dataclass

from lastack.model.fields import BY_NAME, FIELDS, Field


class Kind(enum.Enum):
    """What a metric's values are, which decides how a value is written and which operators apply."""

    number = "whole number"
    real = "number"
    ratio = "quotient"
    duration = "duration"
    time = "time"
    size = "size"
    enum = "one of a vocabulary"
    text = "text"
    address = "address"


class Shape(enum.Enum):
    """How the columns of a metric make its value."""

    column = "the column"
    total = "client plus server"
    span = "second time minus first"


@dataclass(frozen=True, slots=True)
class Metric:
    """One name of the filter language.

    Attributes:
        name: As people write it.
        kind: What its values are.
        shape: How `columns` make the value.
        columns: Columns of the session record, one or two.
        help: One sentence for people.
        vocabulary: Members' names when `kind` is `enum`.
        raw_ns: A plain whole number is accepted as nanoseconds (names that end in `_ns`).
    """

    name: str
    kind: Kind
    shape: Shape
    columns: tuple[str, ...]
    help: str
    vocabulary: tuple[str, ...] = ()
    raw_ns: bool = False


#: Packet counts that the language writes `name.count`; their columns are `name_clt` and `name_srv`.
_COUNTED = ("syn", "synack", "fin", "rst")
#: Types of fields that hold a list, which has no place in a row filter, are all that are not these.
_SCALARS = frozenset(
    {"uint8", "uint16", "uint32", "uint64", "int16", "int32", "int64", "float32", "address", "string", "enum"}
)
#: Units of fields whose sum over sessions means something; other numbers are names (ports, ids) or places.
_SUMMED = frozenset({"packets", "bytes", "handshakes", "ns"})
#: Names of the language that do not follow from a field's name.
_SHORT = {"retx": "retx_packets"}


def adds_up(metric: Metric) -> bool:
    """Return whether the sum of a metric over sessions means something."""
    field = BY_NAME[metric.columns[0]]
    return metric.shape is Shape.span or field.unit in _SUMMED or field.name.endswith("_uniq")


def _kind(field: Field) -> Kind:
    if field.type == "enum":
        return Kind.enum
    if field.type == "address":
        return Kind.address
    if field.type == "string":
        return Kind.text
    if field.type == "float32":
        return Kind.real
    by_unit = {"ns": Kind.duration, "ns since epoch": Kind.time, "bytes": Kind.size}
    return by_unit.get(field.unit, Kind.number)


def _of_field(name: str, field: Field) -> Metric:
    members = tuple(member.name for member in field.enum) if field.enum is not None else ()
    raw = name.endswith("_ns")
    return Metric(name, _kind(field), Shape.column, (field.name,), field.help, members, raw)


def _total(name: str, clt: Field, srv: Field) -> Metric:
    text = clt.help.removesuffix(" (client)").replace(" of the client's ", " of ")
    return Metric(name, _kind(clt), Shape.total, (clt.name, srv.name), f"{text} (both ends)")


def _two_sided() -> Iterator[tuple[str, Field, Field]]:
    """Yield the stem and both fields of each quantity that the record keeps for each end."""
    for field in FIELDS:
        if field.name.endswith("_clt"):
            other = BY_NAME.get(f"{field.name.removesuffix('_clt')}_srv")
            if other is not None:
                yield field.name.removesuffix("_clt"), field, other


def _build() -> dict[str, Metric]:
    found: dict[str, Metric] = {}

    def add(metric: Metric) -> None:
        found.setdefault(metric.name, metric)

    for stem, clt, srv in _two_sided():
        names = [f"{stem}.count"] if stem in _COUNTED else [stem]
        names += [short for short, target in _SHORT.items() if target == stem]
        if stem in _COUNTED:
            names.append(stem)
        for name in names:
            if _kind(clt) is not Kind.enum:
                add(_total(name, clt, srv))
            add(_of_field(f"{name}.clt", clt))
            add(_of_field(f"{name}.srv", srv))
    add(_total("fin.uniq", BY_NAME["fin_clt_uniq"], BY_NAME["fin_srv_uniq"]))
    add(_of_field("fin.uniq.clt", BY_NAME["fin_clt_uniq"]))
    add(_of_field("fin.uniq.srv", BY_NAME["fin_srv_uniq"]))
    for end in ("client", "server"):
        for what in ("ip", "port", "zone"):
            add(_of_field(f"{end}.{what}", BY_NAME[f"{end}_{what}"]))
    add(_of_field("ct.count", BY_NAME["ct_count"]))
    add(Metric("duration", Kind.duration, Shape.span, ("start_ns", "end_ns"), "first packet to last packet"))
    for field in FIELDS:
        if field.type not in _SCALARS:
            continue
        add(_of_field(field.name, field))
        if field.name.endswith("_ns"):
            add(_of_field(field.name.removesuffix("_ns"), field))
    return found


#: Every name of the language. Preferred names come first, raw column names after them.
METRICS: dict[str, Metric] = _build()


def nearest(word: str, names: Iterator[str] | list[str] | tuple[str, ...]) -> str | None:
    """Return the name that a misspelt word most likely meant, or None if nothing is near."""
    known = list(names)
    folded = {name.casefold().replace("_", "."): name for name in reversed(known)}
    near = difflib.get_close_matches(word.casefold().replace("_", "."), list(folded), n=1, cutoff=0.6)
    return folded[near[0]] if near else None
