"""The tables that sessions have in ClickHouse, made from the field registry.

`sessions` holds the session record, each field under its own name and type; times are nanoseconds, as everywhere, with
a DateTime64 beside the two that people look for. `sessions_per_minute` is filled by a materialised view as rows come.
The others say which segments are there, what their runs have read, and which version made the tables.
"""

from __future__ import annotations

from collections.abc import Iterator

from lastack import __version__
from lastack.model.fields import BY_NAME, FIELDS, SCHEMA_VERSION, Field
from lastack.model.units import NS_PER_S

SESSIONS = "sessions"
MINUTES = "sessions_per_minute"
MINUTES_VIEW = "sessions_per_minute_view"
PUSHED = "lastack_pushed"
RUNS = "lastack_runs"
META = "lastack_meta"
#: Tables of ours, in the order in which they are made.
TABLES = (META, PUSHED, RUNS, SESSIONS, MINUTES, MINUTES_VIEW)
#: Columns of `sessions` that are no fields: which insert brought a row, and when.
SEGMENT, BLOCK, ARRIVED = "segment", "block", "arrived"
#: Inserts of which each table remembers the token.
REMEMBERED = 100_000
#: What rows of `sessions_per_minute` are apart by, beside the minute; texts that may be null are empty there.
MINUTE_KEYS = (
    "server_ip", "server_port", "app", "opening", "ending", "cause", "harm", "sensor", "client_zone", "server_zone",
)  # fmt: skip
#: How each table with times tells the time that retention goes by.
_TIMES = {SESSIONS: "toDateTime(start_time)", MINUTES: "minute"}
_SUMMED = frozenset({"packets", "bytes", "handshakes"})
_MEANS = ("ct_ns", "half_closed_ns")
_WIDTHS = {"int": "Int", "uint": "UInt"}
_HOUR_NS = 3600 * NS_PER_S


def column_type(field: Field) -> str:
    """Return the type that a field has in ClickHouse.

    Enums are LowCardinality(String), not Enum8: they sort as their names do, and a vocabulary can grow.
    """
    match field.type:
        case "address":
            name = "IPv6"
        case "string" | "enum":
            return "LowCardinality(Nullable(String))" if field.nullable else "LowCardinality(String)"
        case "bool":
            name = "Bool"
        case "float32":
            name = "Float32"
        case "list":
            return f"Array(Tuple({', '.join(f'{m.name} {column_type(m)}' for m in field.members)}))"
        case kind:
            word = kind.rstrip("0123456789")
            name = _WIDTHS[word] + kind.removeprefix(word)
    return f"Nullable({name})" if field.nullable else name


def schema(keep_days: int | None = None) -> list[str]:
    """Return the statements that make the tables in the current database, where they are not there yet.

    Args:
        keep_days: Days after its start for which a session is kept; None for ever.
    """
    return [_meta(), _pushed(), _runs(), _sessions(keep_days), _minutes(keep_days), _view()]


def retention(keep_days: int) -> list[str]:
    """Return the statements that change how long sessions are kept in tables that are there."""
    return [f"ALTER TABLE {table} MODIFY TTL {_ttl(time, keep_days)}" for table, time in _TIMES.items()]


def missing_columns(found: dict[str, str]) -> list[str]:
    """Return the statements that add the fields which a `sessions` table of an older version lacks.

    Args:
        found: Its columns and their types.
    """
    absent = [f for f in FIELDS if f.name not in found]
    return [f"ALTER TABLE {SESSIONS} ADD COLUMN {f.name} {column_type(f)}" for f in absent]


def _sessions(keep_days: int | None) -> str:
    columns = [f"{f.name} {column_type(f)} CODEC({_codec(f)}) COMMENT {_quoted(_comment(f))}" for f in FIELDS]
    columns += [
        f"{name}_time DateTime64(9, 'UTC') MATERIALIZED fromUnixTimestamp64Nano({name}_ns, 'UTC') "
        f"CODEC(Delta(8), ZSTD(1)) COMMENT '{name}_ns for people and dashboards'"
        for name in ("start", "end")
    ]
    columns += [
        f"{SEGMENT} LowCardinality(String) COMMENT 'the segment that brought the row'",
        f"{BLOCK} UInt32 COMMENT 'the insert of that segment that brought the row'",
        f"{ARRIVED} DateTime('UTC') DEFAULT now() COMMENT 'when it came'",
        "INDEX by_session session_id TYPE bloom_filter(0.01) GRANULARITY 1",
        "INDEX by_client client_ip TYPE bloom_filter(0.01) GRANULARITY 1",
        f"INDEX by_segment {SEGMENT} TYPE set(64) GRANULARITY 4",
    ]
    return _table(
        SESSIONS,
        columns,
        "MergeTree",
        partition="toYYYYMMDD(fromUnixTimestamp64Nano(start_ns, 'UTC'))",
        order=f"(intDiv(start_ns, {_HOUR_NS}), server_ip, server_port, start_ns, session_id)",
        ttl=_ttl(_TIMES[SESSIONS], keep_days) if keep_days is not None else "",
        settings=f"non_replicated_deduplication_window = {REMEMBERED}, ttl_only_drop_parts = 1",
    )


def summed_fields() -> Iterator[Field]:
    """Yield the fields whose sums `sessions_per_minute` keeps."""
    for field in FIELDS:
        if field.unit in _SUMMED and not field.nullable and field.type.startswith("uint"):
            yield field


def _minutes(keep_days: int | None) -> str:
    keys = [f"{name} {_plain(BY_NAME[name])}" for name in MINUTE_KEYS]
    sums = [f"{f.name} SimpleAggregateFunction(sum, UInt64)" for f in summed_fields()]
    means = [
        f"{name}_{what} SimpleAggregateFunction(sum, {kind})"
        for name in _MEANS
        for what, kind in (("sum", "Int64"), ("count", "UInt64"))
    ]
    return _table(
        MINUTES,
        [
            "minute DateTime('UTC') CODEC(Delta(4), ZSTD(1))",
            *keys,
            "sessions SimpleAggregateFunction(sum, UInt64)",
            *sums,
            *means,
            "clients AggregateFunction(uniqCombined(12), IPv6) COMMENT 'read it with uniqCombinedMerge(12)'",
        ],
        "AggregatingMergeTree",
        partition="toYYYYMM(minute)",
        order=f"(minute, {', '.join(MINUTE_KEYS)})",
        ttl=_ttl(_TIMES[MINUTES], keep_days) if keep_days is not None else "",
        settings=f"non_replicated_deduplication_window = {REMEMBERED}",
    )


def _view() -> str:
    return f"CREATE MATERIALIZED VIEW IF NOT EXISTS {MINUTES_VIEW} TO {MINUTES} AS\n{minutes_select()}"


def minutes_select() -> str:
    """Return the question whose answer `sessions_per_minute` keeps, over the rows of `sessions`."""
    keys = [
        f"ifNull(s.{name}, '') AS {name}" if BY_NAME[name].nullable else f"s.{name} AS {name}"
        for name in MINUTE_KEYS
    ]
    sums = [f"sum(s.{f.name}) AS {f.name}" for f in summed_fields()]
    means = [f"sum(ifNull(s.{name}, 0)) AS {name}_sum, count(s.{name}) AS {name}_count" for name in _MEANS]
    columns = [
        f"toStartOfMinute(toDateTime(intDiv(s.start_ns, {NS_PER_S}), 'UTC')) AS minute",
        *keys,
        "count() AS sessions",
        *sums,
        *means,
        "uniqCombinedState(12)(s.client_ip) AS clients",
    ]
    return (
        "SELECT\n    "
        + ",\n    ".join(columns)
        + (f"\nFROM {SESSIONS} AS s\nGROUP BY minute, {', '.join(MINUTE_KEYS)}")
    )


def _pushed() -> str:
    columns = [
        f"{SEGMENT} String COMMENT 'a segment of which every row is in {SESSIONS}'",
        "rows UInt64 COMMENT 'rows in it'",
        "inserted UInt64 COMMENT 'of them, rows that were not there under another segment'",
        "first_ns Int64 COMMENT 'earliest start_ns'",
        "last_ns Int64 COMMENT 'latest start_ns'",
        "pushed DateTime64(3, 'UTC') DEFAULT now64(3)",
    ]
    return _table(PUSHED, columns, "ReplacingMergeTree(pushed)", order=SEGMENT)


def _runs() -> str:
    columns = [
        "run String COMMENT 'a run over packets, by its captures and first packet'",
        "content String COMMENT 'JSON: what it has read, as in the manifest of a dataset'",
        "pushed DateTime64(3, 'UTC') DEFAULT now64(3)",
    ]
    return _table(RUNS, columns, "ReplacingMergeTree(pushed)", order="run")


def _meta() -> str:
    columns = ["name String", "value String", "pushed DateTime64(3, 'UTC') DEFAULT now64(3)"]
    return _table(META, columns, "ReplacingMergeTree(pushed)", order="name")


def versions() -> dict[str, str]:
    """Return what the table of versions says of tables that this LastACK makes."""
    return {"schema_version": str(SCHEMA_VERSION), "lastack_version": __version__}


def insert_versions() -> str:
    """Return the statement that says of which version the tables are; without it nothing reads them."""
    rows = ", ".join(f"({_quoted(name)}, {_quoted(value)})" for name, value in versions().items())
    return f"INSERT INTO {META} (name, value) VALUES {rows}"


def _table(
    name: str,
    columns: list[str],
    engine: str,
    order: str,
    partition: str = "",
    ttl: str = "",
    settings: str = "",
) -> str:
    lines = [f"CREATE TABLE IF NOT EXISTS {name}", "(", ",\n".join(f"    {c}" for c in columns), ")"]
    lines.append(f"ENGINE = {engine}")
    lines += [f"PARTITION BY {partition}"] if partition else []
    lines.append(f"ORDER BY {order}")
    lines += [f"TTL {ttl}"] if ttl else []
    lines += [f"SETTINGS {settings}"] if settings else []
    return "\n".join(lines)


def _ttl(time: str, keep_days: int) -> str:
    return f"{time} + INTERVAL {int(keep_days)} DAY"


def _plain(field: Field) -> str:
    """Return the type of a key: null has no place in one."""
    return column_type(field).replace("Nullable(String)", "String")


def _codec(field: Field) -> str:
    return "Delta(8), ZSTD(1)" if field.unit == "ns since epoch" and not field.nullable else "ZSTD(1)"


def _comment(field: Field) -> str:
    return f"{field.help} ({field.unit})" if field.unit else field.help


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
