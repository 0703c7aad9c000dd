"""Zones and applications: the plain reading, the columns and the SQL give the same answer."""

from __future__ import annotations

import ipaddress
from typing import Any

import duckdb
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.query.rows import random_rows, rows

from lastack.model.address import parse_address, parse_network
from lastack.query import classify
from lastack.query.classify import Classifier
from lastack.query.classify_sql import classified_source
from lastack.query.zones import UNCLASSIFIED, Application, Block, Classes, Zone
from lastack.query.zones_check import overlaps
from lastack.store.conform import conform

CONNECTION = duckdb.connect()
NAMES = ["lan", "dmz", "far"]


def block(text: str) -> Block:
    return Block(*parse_network(text), text)


@st.composite
def _blocks(draw: Any) -> Block:
    v6 = draw(st.booleans())
    base = draw(
        st.sampled_from(["2001:db8::", "::", "ff00::"] if v6 else ["10.0.0.0", "0.0.0.0", "255.0.0.0"])
    )
    length = draw(st.sampled_from([0, 8, 32, 64, 96, 127, 128] if v6 else [0, 1, 8, 24, 31, 32]))
    step = draw(st.integers(0, 3)) << draw(st.integers(0, (128 if v6 else 32) - 2))
    address = (int(ipaddress.ip_address(base)) + step) % (1 << (128 if v6 else 32))
    kind = ipaddress.IPv6Address if v6 else ipaddress.IPv4Address
    return block(f"{kind(address)}/{length}")


_RANGES = st.tuples(st.integers(0, 20), st.integers(0, 8)).map(lambda pair: (pair[0], pair[0] + pair[1]))
_PORTS = st.one_of(_RANGES, st.sampled_from([(0, 65_535), (65_535, 65_535), (0, 0), (443, 443)]))


@st.composite
def _classes(draw: Any) -> Classes:
    zones = []
    for name in draw(st.lists(st.sampled_from(NAMES), unique=True)):
        blocks, vlans = draw(st.lists(_blocks(), max_size=4)), draw(st.lists(_RANGES, max_size=2))
        zones.append(Zone(name, tuple(blocks), tuple(vlans), draw(st.sampled_from([1, 100]))))
    one_of = st.lists(st.sampled_from(NAMES), max_size=2, unique=True).map(tuple)
    apps = draw(
        st.lists(
            st.builds(
                Application,
                st.sampled_from(["web", "db", "x"]),
                st.lists(_PORTS, max_size=3).map(tuple),
                one_of,
                one_of,
            ),
            max_size=5,
        )
    )
    return Classes(tuple(zones), tuple(apps))


ENDS = [
    "10.0.0.0",
    "10.0.0.1",
    "10.1.2.3",
    "11.0.0.0",
    "255.255.255.255",
    "0.0.0.0",
    "::",
    "::1",
    "2001:db8::",
]
ENDS += ["2001:db8::1", "2001:db8:1::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "::ffff:0:0", "ff00::"]
_ROW = st.fixed_dictionaries(
    {
        "client_ip": st.sampled_from(ENDS),
        "server_ip": st.sampled_from(ENDS),
        "server_port": st.sampled_from([0, 1, 5, 19, 20, 21, 443, 65_535]),
        "vlan": st.sampled_from([0, 1, 5, 19, 4094]),
    }
)


def plain(classes: Classes, batch: Any) -> list[tuple[str | None, str | None, str]]:
    found = []
    for row in batch.to_pylist():
        client, server = (classes.zone_of(row[f"{end}_ip"], row["vlan"]) for end in ("client", "server"))
        names = [zone.name if zone is not None else None for zone in (client, server)]
        app = classes.application_of(row["server_port"], *names)
        found.append((names[0], names[1], app.application.name if app is not None else UNCLASSIFIED))
    return found


def columns(batch: Any) -> list[tuple[str | None, str | None, str]]:
    names = ("client_zone", "server_zone", "app")
    return list(zip(*(batch.column(name).to_pylist() for name in names), strict=True))


@given(_classes(), st.lists(_ROW, min_size=1, max_size=20))
def test_classifier__is_the_plain_reading(classes: Classes, given_rows: list[dict[str, Any]]) -> None:
    batch = rows(*given_rows)
    classified = Classifier(classes)(batch)
    assert columns(classified) == plain(classes, batch)
    assert classified.schema.equals(batch.schema)


@settings(max_examples=40, deadline=None)
@given(_classes(), st.lists(_ROW, min_size=1, max_size=20))
def test_sql__is_the_plain_reading(classes: Classes, given_rows: list[dict[str, Any]]) -> None:
    batch = rows(*given_rows)
    text, values = classified_source(classes, ("batch", []))
    CONNECTION.register("batch", pa.Table.from_batches([batch]))
    table = CONNECTION.sql(f"SELECT * FROM {text}", params=values).to_arrow_table()
    assert columns(conform(table.combine_chunks().to_batches()[0])) == plain(classes, batch)


def test_classifier__without_a_table_gives_the_same(monkeypatch: Any) -> None:
    classes = Classes(
        (Zone("lan", (block("10.0.0.0/8"),)),), (Application("web", ((443, 443),), (), ("lan",)),)
    )
    batch = random_rows(500, 5)
    usual = Classifier(classes)(batch)
    monkeypatch.setattr(classify, "_LARGEST_TABLE", 0)
    assert Classifier(classes)(batch).equals(usual)


def test_classifier__handles_sliced_and_empty_batches() -> None:
    classes = Classes((Zone("lan", (block("10.0.0.0/8"),)),))
    batch = random_rows(50, 6)
    assert Classifier(classes)(batch.slice(7, 20)).equals(Classifier(classes)(batch).slice(7, 20))
    assert Classifier(classes)(batch.slice(0, 0)).num_rows == 0


def test_zone__smaller_priority_is_asked_first_then_the_order_of_the_file() -> None:
    late, early = Zone("late", (block("10.0.0.0/8"),)), Zone("early", (block("10.0.0.0/24"),), (), 5)
    same = Zone("same", (block("10.0.0.0/8"),))
    classes = Classes((late, same, early))
    found = [classes.zone_of(parse_address(text)) for text in ("10.0.0.1", "10.9.9.9", "192.0.2.1")]
    assert [zone.name if zone is not None else None for zone in found] == ["early", "late", None]


def test_application__most_precise_wins() -> None:
    classes = Classes(
        (),
        (
            Application("any"),
            Application("range", ((8000, 8999),)),
            Application("port", ((8080, 8080),)),
            Application("port of dmz", ((8080, 8080),), (), ("dmz",)),
            Application("port of lan to dmz", ((8080, 8080),), ("lan",), ("dmz",)),
        ),
    )

    def name(port: int, client: str | None = None, server: str | None = None) -> str:
        found = classes.application_of(port, client, server)
        return found.application.name if found is not None else UNCLASSIFIED

    assert [name(80), name(8001), name(8080)] == ["any", "range", "port"]
    assert [name(8080, None, "dmz"), name(8080, "lan", "dmz")] == ["port of dmz", "port of lan to dmz"]


# --- what is worth knowing --------------------------------------------------------------------------------


def messages(*zones: Zone, apps: tuple[Application, ...] = ()) -> list[str]:
    return [f"{problem.severity}: {problem.message}" for problem in overlaps(Classes(zones, apps))]


def test_check__zone_that_never_matches() -> None:
    big, small = Zone("big", (block("10.0.0.0/8"),)), Zone("small", (block("10.1.0.0/16"),))
    assert messages(big, small) == [
        "warning: never matches: all of it is in zone 'big', which is asked before it"
    ]
    assert messages(small, big) == []


def test_check__vlans_tell_zones_apart() -> None:
    first = Zone("first", (block("10.0.0.0/8"),), ((10, 19),))
    second = Zone("second", (block("10.0.0.0/8"),), ((20, 29),))
    assert messages(first, second) == []
    assert len(messages(Zone("all", (block("10.0.0.0/8"),)), second)) == 1


def test_check__part_that_another_zone_takes() -> None:
    first = Zone("first", (block("10.0.0.0/8"),))
    second = Zone("second", (block("10.1.0.0/16"), block("192.0.2.0/24")))
    (message,) = messages(first, second)
    assert message.startswith("note: 10.1.0.0/16 overlaps 10.0.0.0/8 of zone 'first'")


def test_check__equal_applications() -> None:
    web, api = Application("web", ((443, 443),)), Application("api", ((443, 443), (444, 444)))
    (message,) = messages(apps=(web, api))
    assert message.startswith("warning: port 443 is in 'web' too")
    assert messages(apps=(web, Application("api", ((443, 443),), (), ("dmz",)))) == []


def test_classifier__thousands_of_zones() -> None:
    zones = tuple(Zone(f"z{n}", (block(f"10.{n >> 8}.{n & 255}.0/24"),), (), n) for n in range(2000))
    batch = rows({"client_ip": "10.7.207.9", "server_ip": "10.7.208.1"}, {"server_ip": "10.0.0.1"})
    assert columns(Classifier(Classes(zones))(batch)) == [
        ("z1999", None, UNCLASSIFIED),
        ("z0", "z0", UNCLASSIFIED),
    ]
