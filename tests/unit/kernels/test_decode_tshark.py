"""The decoder against tshark, which nobody here wrote: built frames of every kind, and real captures."""

from __future__ import annotations

import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.naive.files import frames_of_file
from tests.unit.wire import frames
from tests.unit.wire.guarded import GuardedDecoder

from lastack.capture.writer import PcapngWriter
from lastack.model.address import format_address
from lastack.model.enums import Drop
from lastack.wire.linktypes import LINK_TYPES
from lastack.wire.tcp import Segment

pytestmark = [
    pytest.mark.tshark,
    pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed (apt install tshark)"),
]

FIELDS = [
    *("ip.src", "ip.dst", "ipv6.src", "ipv6.dst", "tcp.srcport", "tcp.dstport", "tcp.seq_raw", "tcp.ack_raw"),
    *("tcp.len", "tcp.flags", "tcp.window_size_value", "tcp.options.wscale.shift", "vlan.id"),
]
OPTIONS = ("-d", "udp.port==8472,vxlan", "-o", "ip.defragment:false", "-o", "ipv6.defragment:false")
CAPTURES = Path(__file__).resolve().parents[4] / "shared" / "captures"

#: Built frames that tshark reads otherwise, and why.
NOT_READ_BY_TSHARK = {
    "mpls 3": "takes the control word for the start of an address",
    "mpls without control word": "takes the start of an address for a control word",
    "l2tp 17": "knows the sizes of cookie and sublayer from its settings only",
    "NETANALYZER": "wants a length in the header, which is 0 here",
    "C_HDLC_WITH_DIR": "has no such link type in version 4.0",
    "FRELAY_WITH_DIR": "has no such link type in version 4.0",
    "MPLS 219": "has no such link type in version 4.0",
    "DSA_TAG": "has no such link types in version 4.0",
    "marvell tag": "has no such Ethertype in version 4.0",
    "fabricpath 15": "takes the last 4 bytes for a checksum",
    "backbone": "has another field for the id of a service tag",
}


def tshark(capture: Path) -> list[dict[str, str]]:
    """Return the last value of each field of each packet."""
    wanted = [part for field in FIELDS for part in ("-e", field)]
    command = ["tshark", "-n", "-r", str(capture), *OPTIONS, "-T", "fields", "-E", "occurrence=l", *wanted]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return [dict(zip(FIELDS, line.split("\t"), strict=True)) for line in done.stdout.splitlines()]


def write(path: Path, link: int, rows: list[bytes]) -> None:
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 1 << 18, link))
        for row in rows:
            file.write(struct.pack("<IIII", 0, 0, len(row), len(row)) + row)


def differences(segment: Segment, theirs: dict[str, str]) -> Iterator[str]:
    """Yield what of a segment tshark says otherwise; it leaves out what it cannot tell."""
    ends = {(theirs["ip.src"], theirs["ip.dst"]), (theirs["ipv6.src"], theirs["ipv6.dst"])}
    if (format_address(segment.source), format_address(segment.destination)) not in ends:
        yield f"addresses {ends}"
    ours = {"tcp.srcport": segment.sport, "tcp.dstport": segment.dport}
    if not segment.quoted:
        ours |= {"tcp.seq_raw": segment.seq, "tcp.ack_raw": segment.ack, "tcp.len": segment.payload}
        ours |= {"tcp.window_size_value": segment.window, "vlan.id": segment.vlan}
        if theirs["tcp.flags"]:
            theirs["tcp.flags"] = str(int(theirs["tcp.flags"], 16) & 0xFF)
        ours |= {"tcp.flags": segment.flags}
        if theirs["tcp.options.wscale.shift"]:
            ours |= {"tcp.options.wscale.shift": segment.wscale}
    if theirs["tcp.len"] == "":  # a fragment or a cut header
        ours.pop("tcp.len", None)
    for name, value in ours.items():
        if theirs[name] != str(value) and (theirs[name] or value):
            yield f"{name} {value} {theirs[name]}"


def read_by_tshark(rows: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    return [row for row in rows if not row[0].startswith(tuple(NOT_READ_BY_TSHARK))]


def frames_of_link(number: int) -> list[tuple[str, bytes]]:
    return read_by_tshark([(name, frame) for name, link, frame in frames.frames_by_link() if link == number])


@pytest.fixture(scope="module")
def every_link_type(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[dict[str, str]]]:
    """Return what tshark reads in the frames of each link type: of all at once, for most of its time is its start."""
    path = tmp_path_factory.mktemp("links") / "built.pcapng"
    of_links = {row.number: frames_of_link(row.number) for row in LINK_TYPES}
    with PcapngWriter(path) as writer:
        for number, rows in of_links.items():
            interface = writer.add_interface(number) if rows else 0
            for _, frame in rows:
                writer.write(0, frame, interface=interface)
    answers = iter(tshark(path))
    found = {number: [next(answers) for _ in rows] for number, rows in of_links.items()}
    assert next(answers, None) is None
    return found


def agree(rows: list[tuple[str, bytes]], answers: list[dict[str, str]], link: int) -> None:
    kernel = GuardedDecoder()
    for (name, frame), theirs in zip(rows, answers, strict=True):
        segment = kernel(frame, len(frame), link).segment
        assert segment is not None, name
        assert list(differences(segment, theirs)) == [], name


def compare(rows: list[tuple[str, bytes]], folder: Path) -> None:
    rows = read_by_tshark(rows)
    write(folder / "built.pcap", 1, [frame for _, frame in rows])
    agree(rows, tshark(folder / "built.pcap"), 1)


@pytest.mark.parametrize("row", LINK_TYPES, ids=lambda row: f"{row.name}-{row.number}")
def test_decode__agrees_with_tshark_on_every_link_type(row, every_link_type):
    rows = frames_of_link(row.number)
    if not rows:
        pytest.skip("tshark reads none of these")
    agree(rows, every_link_type[row.number], row.number)


def test_decode__agrees_with_tshark_on_every_wrapping(tmp_path):
    compare([(name, frame) for name, _, frame in frames.frames_by_wrapping()], tmp_path)


def test_decode__agrees_with_tshark_on_rare_headers(tmp_path):
    compare(list(frames.rare_frames()), tmp_path)


#: Packets of real captures where tshark says something else, and why.
KNOWN = {
    ("tcpdump__tests_beep-oobr.pcap", 1): "not IPv6 by its first nibble",
}


def captures() -> list[Path]:
    if not CAPTURES.is_dir():
        return []
    return [
        path for path in sorted(CAPTURES.iterdir()) if path.is_file() and path.suffix not in (".md", ".csv")
    ]


@pytest.mark.shared
@pytest.mark.skipif(not captures(), reason="the folder of real captures is not beside the checkout")
@pytest.mark.parametrize("capture", captures(), ids=lambda path: path.name)
def test_decode__agrees_with_tshark_on_real_packets(capture):
    kernel = GuardedDecoder()
    # FabricPath: tshark takes the last 4 bytes of the inner frame for a checksum.
    blind = ("tcp.len", "tcp.options") if "ajp" in capture.name else ()
    for frame, theirs in zip(frames_of_file(capture), tshark(capture), strict=True):
        if (capture.name, frame.number) in KNOWN:
            continue
        answer = kernel(frame.data, frame.wirelen, frame.link)
        if answer.drop is Drop.none:
            assert answer.segment is not None
            found = [
                line for line in differences(answer.segment, theirs) if not line.startswith(blind or ("-",))
            ]
            assert found == [], frame.number
        else:
            assert theirs["tcp.flags"] == "", (frame.number, answer.drop)
