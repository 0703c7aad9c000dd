"""Writes the reference pages from the registries, so that they cannot go stale; a test compares them.

python -m lastack.cli.docs            say which pages differ (exit code 1 if one does)
python -m lastack.cli.docs --write    write them
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from lastack.app.profiles import all_profiles
from lastack.app.registries import EXPORTERS
from lastack.cli.lazy import LazyGroup
from lastack.cli.main import cli
from lastack.query.operators import OPERATORS
from lastack.query.parse import GRAMMAR
from lastack.store import clickhouse_schema
from lastack.view import measures
from lastack.view.causes import INTRODUCTION as INTRODUCTION_OF_CAUSES
from lastack.view.causes import render_causes
from lastack.view.fields import field_facts, render_entries, render_markdown, totals
from lastack.view.profiles_page import INTRODUCTION, markdown

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "reference"
_NOTE = "<!-- Made by `python -m lastack.cli.docs --write`; change the source, not this page. -->\n"


def pages() -> dict[str, str]:
    """Return the text of each generated page by its file name."""
    return {
        "fields.md": fields_page(),
        "cli.md": cli_page(),
        "filter.md": filter_page(),
        "metrics.md": metrics_page(),
        "profiles.md": profiles_page(),
        "causes.md": causes_page(),
        "clickhouse.md": clickhouse_page(),
    }


def clickhouse_page() -> str:
    """Return the tables that sessions have in ClickHouse."""
    statements = ";\n\n".join([*clickhouse_schema.schema(90), clickhouse_schema.insert_versions()])
    return (
        f"# Tables in ClickHouse\n\n{_NOTE}\n"
        "What `lastack dataset schema clickhouse --keep 90d` prints, and `lastack dataset push` makes where they are "
        "not there (without `--keep`, without `TTL`). [Keep sessions in ClickHouse](../howto/clickhouse.md) says how "
        "to use and change them.\n\n"
        f"```sql\n{statements};\n```\n"
    )


def causes_page() -> str:
    """Return the reference of causes: what each rule looks for, and what it cannot tell."""
    return f"# Causes\n\n{_NOTE}\n{INTRODUCTION_OF_CAUSES}\n{render_causes()}"


def profiles_page() -> str:
    """Return the reference of the firewall profiles that come with LastACK."""
    return f"# Firewalls, NATs and hosts\n\n{_NOTE}\n{INTRODUCTION}\n{markdown(all_profiles())}"


def fields_page() -> str:
    """Return the reference of the session record."""
    rows = "".join(f"| `{name}` | {text} |\n" for name, text in totals())
    return (
        f"# The session record\n\n{_NOTE}\n"
        "One row for each TCP session. [Definitions](definitions.md) says exactly what each field means; names "
        "ending in `_clt` and `_srv` are the client's and the server's. Times are integer nanoseconds. In CSV "
        "the lists `gaps`, `marks` and `evidence` are left out unless `--columns` names them.\n\n"
        f"{render_markdown(field_facts())}\n"
        "Names that filters compute:\n\n"
        f"| name | meaning |\n| --- | --- |\n{rows}"
        f"{render_entries(field_facts())}"
    )


def cli_page() -> str:
    """Return the reference of the command line: the help of each command."""
    formats = "".join(f"| `{name}` | {entry.help} |\n" for name, entry in EXPORTERS.items())
    parts = [
        f"# Command line\n\n{_NOTE}\n"
        "Data goes to standard output, talk to standard error. Exit codes: 0 done, 1 failed, 2 wrong usage, "
        "3 unreadable input, 4 missing privilege, 130 interrupted.\n\n"
        f"Formats of sessions:\n\n| name | what it is |\n| --- | --- |\n{formats}",
        _help(cli, "lastack"),
    ]
    parts += _verbs(cli, "lastack")
    return "\n".join(parts)


def _verbs(group: LazyGroup, path: str) -> list[str]:
    """Return the help of every verb of a group, those of its subgroups after it."""
    parts = []
    context = click.Context(group, info_name=path)
    for name in group.verbs:
        command = group.get_command(context, name)
        assert command is not None, f"{name} is listed but has no module"
        parts.append(_help(command, f"{path} {name}"))
        if isinstance(command, LazyGroup):
            parts += _verbs(command, f"{path} {name}")
    return parts


def _help(command: click.Command, name: str) -> str:
    context = click.Context(command, info_name=name, terminal_width=100, max_content_width=100)
    context.help_option_names = ["-h", "--help"]
    return f"## `{name}`\n\n```text\n{command.get_help(context).rstrip()}\n```\n"


def filter_page() -> str:
    """Return the reference of the filter language."""
    rows = "".join(
        f"| `{row.symbol}` | {row.english} | {', '.join(sorted(kind.name for kind in row.kinds))} |\n"
        for row in OPERATORS.values()
    )
    return f"# Filters\n\n{_NOTE}{_FILTER}\n## Operators\n\n| operator | meaning | kinds |\n| --- | --- | --- |\n{rows}"


def metrics_page() -> str:
    """Return the reference of what grouped questions measure, and by what."""
    return f"# Metrics and keys\n\n{_NOTE}{_METRICS}\n{measures.render_markdown()}"


_METRICS = """
`lastack table METRIC,… --by KEY,…`, `top`, `graph` and `compare` measure groups of sessions. `--where` is a
[filter](filter.md) on sessions; `--having` is the same language on the groups, where a name means the sum over the
group and the calls and quotients below are names too: `--having 'rst.srv/connection > 0.5 and connections > 100'`.

Lone packets (backscatter, `opening = stray`) are no sessions and are left out, unless `--strays` asks for them.
A quotient of something by nothing is infinite (`∞`, in JSON and CSV `Infinity`) and ranks first, so that a server which
refuses everything is not missing from a list of RSTs per connection; nothing by nothing is unknown and ranks last.
Percentiles are exact, by nearest rank. Those of the *others* and the *total* are made from their sessions, not from the
groups' percentiles.
"""


_FILTER = f"""
A filter chooses sessions: `lastack sessions trace.pcap -f 'rst.count > 0 and fin.count = 0'`. It means the same for a
capture and for a dataset; a property test proves it.

```text
{GRAMMAR}```

`not` binds before `and`, `and` before `or`. `==`, `&&`, `||` and `!` are read as `=`, `and`, `or` and `not`.

## Names

Every field of the [session record](fields.md), and shorter forms: `rst.count.clt`, `rst.count.srv`, and `rst.count`
for both together (`syn synack fin rst`; without `.count` too). `packets`, `bytes`, `new_bytes`, `retx` and the others
that have two sides are their sum unless `.clt` or `.srv` follows. `client.ip`, `server.port` and the like are the
fields with a dot. `ct` is the handshake time and `ct.count` whether it completed; `half_closed`, `first_fin` and the
like are the fields without `_ns`; `duration` is the time from the first packet to the last.

On groups of sessions (`--having`) the same text filters sums; see [metrics](metrics.md).

## Values

| kind | written as |
| --- | --- |
| number | `3`, `-1` |
| real | `0.9` |
| ratio | `0.5`, `5%` (on groups of sessions) |
| duration | `30s`, `250ms`, `2h4m`, `0` (a field named in full, `ct_ns`, takes plain nanoseconds too) |
| size | `1500`, `64KiB`, `10MB` |
| time | `2026-01-31`, `2026-01-31T08:00:00.5Z`, `2026-01-31T09:00+01:00` (UTC without a zone), or nanoseconds |
| enum | a member: `ending = half_closed`; case does not matter, `-` is `_`; `cause = aborted_*` is a glob |
| text | `history = Sh*` (`*` any run of characters, `?` one); in quotes it is taken as it is: `sensor = "a b.pcap"` |
| address | `10.0.0.1`, `10.0.0.0/8`, `10.0.0.1..10.0.0.9`, `2001:db8::/32` |

A set is `{{80, 443, 8000..8800}}`; a range has both its ends in it. `client.ip in 10.0.0.0/8` needs no braces.

## What is not known

A comparison with a value that is absent is false: `ct > 5ms` and `ct != 5ms` both leave out sessions without a
handshake. `not` is the complement: `not ct > 5ms` has them. `ct is null` and `ct is not null` ask for it.

## Mistakes

An error shows the filter, points at the place, and names the nearest thing that exists:

```text
lastack: filter: no field is called 'rst.cuont': did you mean rst.count?
  packets > 3 and rst.cuont > 0
                  ^^^^^^^^^
```
"""


def main() -> int:
    """Compare the pages with the folder, or write them; return the exit code."""
    write = "--write" in sys.argv[1:]
    stale = []
    for name, text in pages().items():
        path = FOLDER / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if write:
                path.write_text(text, encoding="utf-8")
    if stale:
        sys.stdout.write(f"{'written' if write else 'stale'}: {', '.join(stale)}\n")
    return 1 if stale and not write else 0


if __name__ == "__main__":
    sys.exit(main())
