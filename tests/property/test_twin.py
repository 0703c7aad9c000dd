"""Properties of the slow twin itself: what must hold for any packets whatever."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.naive.engines import naive, naive_through_file
from tests.naive.ledger import balance, placed
from tests.naive.packets import Packet
from tests.naive.reader import read
from tests.naive.rows import COMPARED, compare
from tests.naive.write import to_bytes
from tests.property.strategies import HIGH_PAIRS, packet_lists

from lastack.model.fields import BY_NAME, EVIDENCE_MEMBERS, Field

EPOCH_MEMBERS = [member.name for member in EVIDENCE_MEMBERS if member.unit == "ns since epoch"]
EPOCH_FIELDS = [name for name in COMPARED if BY_NAME[name].unit == "ns since epoch"]


@given(packet_lists())
def test_twin__places_each_packet_once(packets: list[Packet]) -> None:
    assert placed(naive(packets)) == sum(packet.icmp is None for packet in packets)


@given(packet_lists())
def test_twin__rows_do_not_depend_on_the_file_in_between(packets: list[Packet]) -> None:
    assert compare(naive(packets), naive_through_file(packets)) == []


@given(packet_lists(), st.lists(st.tuples(st.integers(0), st.integers(0, 255)), max_size=8))
def test_reader__ledger_balances_on_damaged_bytes(packets: list[Packet], hits: list[tuple[int, int]]) -> None:
    blob = damaged(to_bytes(packets), hits)
    capture = read(blob)
    assert balance(capture, naive(capture.packets)) == 0


@given(packet_lists(), st.integers(-(10**18), 10**18))
def test_twin__shift_of_time_shifts_times_only(packets: list[Packet], shift: int) -> None:
    moved = naive([replace(packet, ts_ns=packet.ts_ns + shift) for packet in packets])
    for row in moved:
        for field in EPOCH_FIELDS:
            row[field] = None if row[field] is None else row[field] - shift
        row["gaps"] = [(phase, start - shift, *rest) for phase, start, *rest in row["gaps"]]
        row["retries"] = [(ns - shift, *rest) for ns, *rest in row["retries"]]
        for entry in row["evidence"]:
            for member in EPOCH_MEMBERS:
                entry[member] = None if entry[member] is None else entry[member] - shift
    assert compare(naive(packets), moved) == []


@given(packet_lists(HIGH_PAIRS))
def test_twin__swapped_ends_mirror_the_result(packets: list[Packet]) -> None:
    mirrored = naive(
        [replace(p, src=p.dst, sport=p.dport, dst=p.src, dport=p.sport) for p in packets],
    )
    for row in mirrored:
        row["client_ip"], row["server_ip"] = row["server_ip"], row["client_ip"]
        row["client_port"], row["server_port"] = row["server_port"], row["client_port"]
    assert compare(naive(packets), mirrored) == []


@given(packet_lists())
def test_twin__words_and_numbers_are_those_of_the_record(packets: list[Packet]) -> None:
    for row in naive(packets):
        for name in COMPARED:
            assert_of_the_record(BY_NAME[name], row[name])
        for entry in row["evidence"]:
            assert sorted(entry) == sorted(member.name for member in EVIDENCE_MEMBERS)
            for member in EVIDENCE_MEMBERS:
                assert_of_the_record(member, entry[member.name])


def assert_of_the_record(field: Field, value: Any) -> None:
    """Check a value against the declaration of its field."""
    if value is None:
        assert field.nullable, field.name
    elif field.enum is not None:
        assert value in field.enum.__members__, field.name
    elif field.type.startswith("uint"):
        assert 0 <= value < 1 << int(field.type[4:]), field.name
    elif field.type.startswith("int"):
        half = 1 << (int(field.type[3:]) - 1)
        assert -half <= value < half, field.name


@given(packet_lists())
def test_twin__counts_add_up(packets: list[Packet]) -> None:
    for row in naive(packets):
        for side in ("clt", "srv"):
            assert row[f"new_bytes_{side}"] <= row[f"bytes_{side}"]
            assert row[f"retx_packets_{side}"] + row[f"keepalives_{side}"] <= row[f"packets_{side}"]
            assert row[f"fin_{side}_uniq"] <= row[f"fin_{side}"]
        assert (row["first_closer"] == "none") == (row["close_order"] == "")
        assert (row["half_closed_ns"] is None) == (row["half_closed_by"] == "none")
        assert row["ct_count"] == (row["ct_ns"] is not None)
        assert (row["rst_clt"] + row["rst_srv"] == 0) == (row["first_rst_ns"] is None)


def damaged(blob: bytes, hits: list[tuple[int, int]]) -> bytes:
    """Return a capture with bytes of its frames replaced; the file's and the records' headers stay."""
    places, at = [], 24
    while at < len(blob):
        length = int.from_bytes(blob[at + 8 : at + 12], "little")
        places += range(at + 16, at + 16 + length)
        at += 16 + length
    changed = bytearray(blob)
    for where, value in hits if places else []:
        changed[places[where % len(places)]] = value
    return bytes(changed)
