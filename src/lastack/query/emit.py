"""Writes grouped questions as SQL: one pass over the sessions, then small questions to its result.

The pass makes a table of groups with one column for each atom. The list, the number of groups and the sums of all come
from that table, so that a total costs nothing; only percentiles and distinct counts of the others and of the whole need
a second pass, for they cannot be joined.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lastack.query.ast import And, Node, Not
from lastack.query.dialect import DUCKDB, Dialect, Fragment
from lastack.query.keys import Key
from lastack.query.measures import Atom, Fold, Measure
from lastack.query.metrics import Kind, Metric
from lastack.query.parse import parse_filter
from lastack.query.questions import Grouped, Histogram
from lastack.query.sql import GroupColumns, filter_sql, metric_sql
from lastack.query.vocabulary import STRAYS

_GROUPS, _LISTED = "lastack_groups", "lastack_listed"


@dataclass(frozen=True, slots=True)
class GroupedSql:
    """The statements of a grouped question, in the order they are to be run on one connection.

    Attributes:
        groups: Makes the table of groups.
        listed: Makes the table of the rows that are listed.
        rows: Reads that: keys, then the value of each measure.
        summary: One row: groups, groups that pass `having`, then each atom over all groups (null if it cannot be
            joined).
        unlisted: One row: each atom over the groups that are not listed (null if it cannot be joined).
        whole: One row: the atoms that cannot be joined, over all sessions; None if there are none.
        others: The same over the sessions of groups that are not listed.
    """

    groups: Fragment
    listed: Fragment
    rows: Fragment
    summary: Fragment
    unlisted: Fragment
    whole: Fragment | None
    others: Fragment | None


def grouped_sql(question: Grouped, source: Fragment, dialect: Dialect = DUCKDB) -> GroupedSql:
    """Return the statements that answer a grouped question.

    Args:
        question: The question.
        source: What stands after FROM, with its parameters.
        dialect: The engine's words.
    """
    return _Emitter(question, source, dialect).statements()


def histogram_sql(question: Histogram, source: Fragment, dialect: Dialect = DUCKDB) -> Fragment:
    """Return the statement of a histogram: rows of the key's value (null without a key) and a list of counts."""
    counts, counts_params = dialect.histogram(metric_sql(question.metric, dialect), question.edges)
    where, where_params = filter_sql(base_filter(question.where, question.strays), dialect=dialect)
    text, params = source
    key = metric_sql(question.key.metric, dialect) if question.key is not None else "NULL"
    group = " GROUP BY 1 ORDER BY 1" if question.key is not None else ""
    return f"SELECT {key}, {counts} FROM {text} WHERE {where}{group}", [
        *counts_params,
        *params,
        *where_params,
    ]


def base_filter(where: Node | None, strays: bool) -> Node | None:
    """Return a filter that leaves stray packets out too, unless they are wanted."""
    if strays:
        return where
    stray = parse_filter(STRAYS)
    assert stray is not None
    return Not(stray) if where is None else And((Not(stray), where))


def atom_sql(atom: Atom, dialect: Dialect = DUCKDB, among: Iterable[Atom] = ()) -> Fragment:
    """Return the aggregate of an atom over session rows.

    Args:
        atom: The atom.
        dialect: The engine's words.
        among: Atoms of the same statement: percentiles of one quantity are quicker together.
    """
    condition, params = filter_sql(atom.where, dialect=dialect)
    if atom.fold is Fold.count:
        return (dialect.count_if(condition), params) if atom.where is not None else ("count(*)", [])
    assert atom.metric is not None, "all folds but count are of a metric"
    expression = metric_sql(atom.metric, dialect)
    match atom.fold:
        case Fold.sum:
            return _sum(atom, expression, dialect), []
        case Fold.quantile:
            together = {one.share for one in among if one.fold is atom.fold and one.metric == atom.metric}
            return dialect.quantile(expression, atom.share, sorted(together)), []
        case Fold.distinct:
            return dialect.distinct(dialect.packed(expression) if _is_packed(atom.metric) else expression), []
        case Fold.example:
            return dialect.least_if(expression, condition), params
        case _:
            return dialect.extreme(atom.fold.value, expression), []


def _sum(atom: Atom, expression: str, dialect: Dialect) -> str:
    real = atom.metric is not None and atom.metric.kind is Kind.real
    return dialect.real_sum(expression) if real else dialect.sum(expression)


def _key_sql(key: Key, dialect: Dialect) -> str:
    """Return what is grouped by; `_shown_key` makes the key's value of it again."""
    expression = metric_sql(key.metric, dialect)
    if _is_packed(key.metric):
        return dialect.packed(expression)
    return dialect.bucket(expression, key.width_ns) if key.width_ns is not None else expression


def _shown_key(place: int, key: Key, dialect: Dialect) -> str:
    return dialect.unpacked(f"k{place}") if _is_packed(key.metric) else f"k{place}"


def _is_packed(metric: Metric) -> bool:
    """Return whether a key is worth packing: clients are many; servers are few, and their files have codes for them."""
    return metric.columns == ("client_ip",)


class _Emitter:
    def __init__(self, question: Grouped, source: Fragment, dialect: Dialect) -> None:
        self._question = question
        self._source = source
        self._dialect = dialect
        self._columns = {atom: f"a{place}" for place, atom in enumerate(question.atoms)}

    def statements(self) -> GroupedSql:
        apart = [atom for atom in self._columns if atom.fold.needs_rows]
        return GroupedSql(
            groups=self._groups(),
            listed=self._listed(),
            rows=self._rows(),
            summary=self._summary(),
            unlisted=self._unlisted(),
            # Without keys the one group is the whole.
            whole=self._again(apart, others=False) if apart and self._question.keys else None,
            others=self._again(apart, others=True) if apart else None,
        )

    def _from(self) -> Fragment:
        text, params = self._source
        where, values = filter_sql(
            base_filter(self._question.where, self._question.strays), dialect=self._dialect
        )
        return f"FROM {text} WHERE ({where})", [*params, *values]

    def _groups(self) -> Fragment:
        keys = [f"{_key_sql(key, self._dialect)} AS k{i}" for i, key in enumerate(self._question.keys)]
        atoms = [(atom_sql(atom, self._dialect, self._columns), name) for atom, name in self._columns.items()]
        columns = ", ".join([*keys, *(f"{text} AS {name}" for (text, _), name in atoms)])
        source, params = self._from()
        places = ", ".join(str(i + 1) for i in range(len(keys)))
        group = f" GROUP BY {places}" if keys else ""
        values = [value for (_, more), _ in atoms for value in more]
        select = f"SELECT {columns} {source}{group}"
        return self._dialect.temporary(_GROUPS, select), [*values, *params]

    def _listed(self) -> Fragment:
        """Choose the rows: names of keys and measures first, so that `having` and the order may use them."""
        question, quoted = self._question, self._dialect.name
        named = self._named_keys()
        named += [f"{self._value(measure)} AS {quoted(measure.name)}" for measure in question.all_measures]
        having, params = filter_sql(question.having, GroupColumns(), self._dialect)
        order = question.order
        terms = [f"{quoted(order.name)} {'ASC' if order.ascending else 'DESC'} NULLS LAST"]
        # Ties in the order of the keys, so that an answer never varies.
        terms += [f"k{i} ASC NULLS LAST" for i in range(len(question.keys))]
        limit = f" LIMIT {int(question.top)}" if question.top is not None else ""
        by = ", ".join(terms)
        inner = f"SELECT *, {', '.join(named)} FROM {_GROUPS}"
        # The limit is inside: numbering all groups would sort them all.
        chosen = f"SELECT * FROM ({inner}) WHERE {having} ORDER BY {by}{limit}"
        select = f"SELECT *, row_number() OVER (ORDER BY {by}) AS place FROM ({chosen})"
        return self._dialect.temporary(_LISTED, select), params

    def _rows(self) -> Fragment:
        quoted = self._dialect.name
        names = [_shown_key(i, key, self._dialect) for i, key in enumerate(self._question.keys)]
        names += [quoted(measure.name) for measure in self._question.all_measures]
        return f"SELECT {', '.join(names)} FROM {_LISTED} ORDER BY place", []

    def _named_keys(self) -> list[str]:
        return [
            f"{_shown_key(i, key, self._dialect)} AS {self._dialect.name(key.name)}"
            for i, key in enumerate(self._question.keys)
        ]

    def _value(self, measure: Measure) -> str:
        above = self._columns[measure.above]
        return above if measure.below is None else self._dialect.ratio(above, self._columns[measure.below])

    def _joined(self) -> str:
        """Return the atoms over all groups: sums of sums, extremes of extremes, null for what cannot be joined."""
        parts = []
        for atom, name in self._columns.items():
            merges = atom.fold.merges
            if merges is None:
                alone = atom.fold.needs_rows and not self._question.keys
                parts.append(self._dialect.extreme("min", name) if alone else "NULL")
            elif merges is Fold.sum:
                parts.append(_sum(atom, name, self._dialect))
            else:
                parts.append(self._dialect.extreme(merges.value, name))
        return ", ".join(parts)

    def _summary(self) -> Fragment:
        having, params = filter_sql(self._question.having, GroupColumns(), self._dialect)
        quoted = self._dialect.name
        named = self._named_keys()
        named += [f"{self._value(m)} AS {quoted(m.name)}" for m in self._question.all_measures]
        passing = self._dialect.count_if(having) if self._question.having is not None else "count(*)"
        return (
            f"SELECT count(*), {passing}, {self._joined()} FROM (SELECT *, {', '.join(named)} FROM {_GROUPS})",
            params,
        )

    def _again(self, atoms: list[Atom], *, others: bool) -> Fragment:
        """Aggregate sessions once more without keys: all of them, or those of groups that are not listed."""
        parts = [atom_sql(atom, self._dialect, atoms) for atom in atoms]
        source, params = self._from()
        columns = ", ".join(text for text, _ in parts)
        values = [value for _, more in parts for value in more]
        text = f"SELECT {columns} {source}"
        if others:
            keys = [_key_sql(key, self._dialect) for key in self._question.keys]
            text += f" AND {self._not_listed(keys)}"
        return text, [*values, *params]

    def _unlisted(self) -> Fragment:
        keys = [f"{_GROUPS}.k{i}" for i in range(len(self._question.keys))]
        return f"SELECT {self._joined()} FROM {_GROUPS} WHERE {self._not_listed(keys)}", []

    def _not_listed(self, keys: list[str]) -> str:
        """Return the test that a group is not listed."""
        return self._dialect.absent(keys, [f"k{i}" for i in range(len(keys))], _LISTED)
