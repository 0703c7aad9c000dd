"""Captures that are cut, damaged, or no captures at all."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.capture import build
from tests.unit.capture.build import enhanced, interface, packets, pcap, pcapng, read, section, simple

from lastack.model.errors import AccessError, InputError, LastackError

MAKERS: list[Callable[[list[build.Packet]], bytes]] = [pcap, pcapng]
KINDS = ["pcap", "pcapng"]


@pytest.mark.parametrize("make", MAKERS, ids=KINDS)
def test_capture__cut_anywhere_gives_its_first_packets(
    tmp_path: Path, make: Callable[[list[build.Packet]], bytes]
) -> None:
    wanted = packets(4, size=lambda k: 14 + k)
    whole = make(wanted)
    path = tmp_path / "x"
    seen = set()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        try:
            reading = read(path)
        except InputError:
            continue
        assert reading.packets == wanted[: len(reading.packets)]
        assert reading.problem_free or reading.said("in the middle of a record")
        seen.add(len(reading.packets))
    assert seen == {0, 1, 2, 3}


@pytest.mark.parametrize("target", [4096, 1 << 20])
@pytest.mark.parametrize("make", MAKERS, ids=KINDS)
def test_capture__reading_goes_on_after_a_damaged_length(
    tmp_path: Path, make: Callable[[list[build.Packet]], bytes], target: int
) -> None:
    wanted = packets(300)
    whole = bytearray(make(wanted))
    place = len(make(wanted[:100]))
    at = place + (8 if make is pcap else 4)
    whole[at : at + 4] = b"\xff\xff\xff\xff"
    (tmp_path / "x").write_bytes(whole)
    reading = read(tmp_path / "x", target)
    assert reading.packets == wanted[:100] + wanted[101:]
    (problem,) = reading.problems
    assert (problem.offset, problem.packet) == (place, 101)
    assert f"reading went on at byte {len(make(wanted[:101]))}" in problem.remedy


@pytest.mark.parametrize("target", [4096, 1 << 20])
@pytest.mark.parametrize("make", MAKERS, ids=KINDS)
def test_capture__reading_goes_on_after_a_stretch_of_zero_bytes(
    tmp_path: Path, make: Callable[[list[build.Packet]], bytes], target: int
) -> None:
    wanted = packets(400)
    whole = bytearray(make(wanted))
    first, after = len(make(wanted[:150])), len(make(wanted[:250]))
    whole[first:after] = b"\xee" * (after - first)
    (tmp_path / "x").write_bytes(whole)
    reading = read(tmp_path / "x", target)
    assert reading.packets == wanted[:150] + wanted[250:]
    assert reading.said(f"{after - first} bytes were skipped")


@pytest.mark.parametrize("target", [4096, 5000, 1 << 20])
@pytest.mark.parametrize("make", MAKERS, ids=KINDS)
def test_capture__after_damage_every_window_finds_the_same_record(
    tmp_path: Path, make: Callable[[list[build.Packet]], bytes], target: int
) -> None:
    # somebody copied a capture over the network: a record with believable records inside, larger than a small window
    inside = make(packets(40))
    wanted = packets(1) + [build.Packet(p.ts_ns, inside, len(inside)) for p in packets(21)[1:]]
    whole = bytearray(make(wanted))
    at = 24 + 8 if make is pcap else len(make([])) + 4
    whole[at : at + 4] = b"\xff\xff\xff\xff"
    (tmp_path / "x").write_bytes(whole)
    reading = read(tmp_path / "x", target)
    assert reading.packets == wanted[1:]
    assert len(reading.problems) == 1


@pytest.mark.parametrize("make", MAKERS, ids=KINDS)
def test_capture__a_rest_without_believable_records_is_told(
    tmp_path: Path, make: Callable[[list[build.Packet]], bytes]
) -> None:
    wanted = packets(20)
    (tmp_path / "x").write_bytes(make(wanted) + b"\xff" * 5000)
    reading = read(tmp_path / "x")
    assert reading.packets == wanted
    assert reading.said("the last 5000 bytes were not read")


def test_pcapng__after_damage_a_new_section_is_found(tmp_path: Path) -> None:
    wanted = packets(3)
    blocks = [enhanced(p.ts_ns // 1000, p.data, p.wirelen, order=">") for p in wanted]
    tail = section(">") + interface(order=">") + b"".join(blocks)
    (tmp_path / "x").write_bytes(pcapng(wanted) + b"\xff" * 400 + tail)
    found = read(tmp_path / "x").packets
    assert [p.data for p in found] == [p.data for p in wanted * 2]


def _kinds_of_blocks() -> bytes:
    wanted = packets(8, size=lambda k: 20 + k)
    parts = [
        section(options=build.option(4, b"x") + build.option(1, b"note")),
        interface(snaplen=60),
        interface(101),
    ]
    for k, packet in enumerate(wanted):
        parts.append(enhanced(packet.ts_ns // 1000, packet.data, packet.wirelen, k % 2))
        parts.append(build.obsolete(packet.ts_ns // 1000, packet.data, packet.wirelen))
    parts += [simple(b"abcd" * 30, 120), build.statistics(0, 1, 1), section(">"), interface(order=">")]
    parts += [enhanced(1, b"abcd", 4, order=">"), build.block(0xBAD, b"some", ">")]
    return b"".join(parts)


FILES = {
    "pcap": pcap(packets(30)),
    "modified": pcap(packets(30), ">", 0xA1B2CD34),
    "pcapng": _kinds_of_blocks(),
}


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 1 << 32), target=st.sampled_from([4096, 1 << 20]))
def test_capture__any_damage_is_survived(
    tmp_path_factory: pytest.TempPathFactory, name: str, seed: int, target: int
) -> None:
    chance = random.Random(seed)
    data = bytearray(FILES[name])
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(data))
        kind = chance.randrange(4)
        if kind == 0:
            data[at] = chance.randrange(256)
        elif kind == 1:
            data[at : at + 4] = chance.choice(
                [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\xff\xff\xff\x7f", b"\x0c\0\0\0"]
            )
        elif kind == 2:
            del data[at : at + chance.randrange(40)]
        else:
            data[at:at] = chance.randbytes(chance.randrange(40))
    path = tmp_path_factory.mktemp("x") / "x"
    path.write_bytes(data)
    try:
        reading = read(path, target)
    except InputError:
        return
    assert sum(len(packet.data) for packet in reading.packets) <= len(data)


NOT_CAPTURES = {
    "empty": (b"", "the file is empty"),
    "text": (b"12:00:01.5 IP 10.0.0.1.80 > 10.0.0.2.4: Flags [S]\n", "text .* tcpdump -w"),
    "web page": (b"\n <!DOCTYPE html><html>", "web page"),
    "answer": (b"HTTP/1.1 404 Not Found\r\n", "web server"),
    "snoop": (b"snoop\0\0\0" + bytes(40), "snoop capture; convert it: editcap"),
    "netmon": (b"GMBU" + bytes(40), "Network Monitor"),
    "zip": (b"PK\x03\x04" + bytes(40), "unzip"),
    "zeros": (bytes(100), "only zero bytes"),
    "random": (bytes(range(200, 255)), "unknown format"),
    "tar": (bytes([1]) * 257 + b"ustar" + bytes(40), "tar archive"),
    "compress": (b"\x1f\x9d" + bytes(40), r"compress \(.Z\) file"),
    "erf": (bytes(4) + (1_700_000_000).to_bytes(4, "little") + b"\x02\0\0\x40" + bytes(60), "Endace ERF"),
    "short": (b"\xd4\xc3", "unknown format"),
}


@pytest.mark.parametrize("name", NOT_CAPTURES)
def test_capture__what_is_none_is_told_with_a_remedy(tmp_path: Path, name: str) -> None:
    data, words = NOT_CAPTURES[name]
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(InputError, match=words) as caught:
        read(tmp_path / "x")
    assert str(caught.value).startswith(str(tmp_path / "x") + ": ")


def test_capture__a_folder_is_no_capture(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="this is a folder"):
        read(tmp_path)


def test_capture__a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file"):
        read(tmp_path / "x")


def test_capture__a_forbidden_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "x").write_bytes(pcap([]))
    monkeypatch.setattr("os.open", refuse)
    with pytest.raises(AccessError, match="no permission") as caught:
        read(tmp_path / "x")
    assert isinstance(caught.value, LastackError)


def test_capture__a_file_that_shrinks_while_it_is_read_ends_there(tmp_path: Path) -> None:
    from lastack.capture.source import open_capture

    path = tmp_path / "x"
    path.write_bytes(pcap(packets(3000)))
    frames = build.np.zeros(64, build.FRAME)
    count = 0
    with open_capture(path) as capture:
        for window in capture.windows(4096):
            while found := capture.walk(window, frames):
                count += found
            if path.stat().st_size > 20_000:
                import os

                os.truncate(path, 20_000)
        assert any("cut short" in problem.what for problem in capture.problems)
    assert 0 < count < 3000
