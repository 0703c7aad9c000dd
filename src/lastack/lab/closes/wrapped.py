"""Patterns of sessions inside something: VLAN tags, tunnels, and captures without an Ethernet header."""

from __future__ import annotations

import socket
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

from lastack.lab.closes import pump
from lastack.lab.closes.pattern import Pattern, ended
from lastack.lab.closes.stage import Stage, scratch
from lastack.lab.closes.talk import talk
from lastack.lab.host import Host
from lastack.lab.netns import LabError
from lastack.lab.sniffer import LINK_ETHERNET, LINK_RAW, Frame
from lastack.lab.waiting import wait_until

_ETH_P_ALL = 3
_TUN = "/dev/net/tun"


def _converse(stage: Stage, version: int = 4) -> None:
    # half-closed by the client, so that the order matters in each wrapping
    made = talk(stage, version)
    made.say("clt", 5)
    made.shut("clt")
    made.wait_readable_end("srv")
    made.wait_state("clt", "FIN_WAIT_2")
    made.say("srv", 70)
    made.acknowledged("srv")
    made.close("srv")
    made.wait_readable_end("clt")
    made.wait_state("srv", "CLOSED")
    made.wait_state("clt", "TIME_WAIT")


def _vxlan(stage: Stage) -> None:
    for mine, peer in _both_ways(stage):
        mine.run(
            ["ip", "link", "add", "tun0", "type", "vxlan", "id", "42", "local", mine.address(),
             "remote", peer.address(), "dstport", "4789"]
        )  # fmt: skip
    pump.address(stage, "tun0", ethernet=True)
    stage.watch_inside("tun0")
    _converse(stage)


def _both_ways(stage: Stage) -> tuple[tuple[Host, Host], tuple[Host, Host]]:
    client, server = stage.lab.client, stage.lab.server
    return (client, server), (server, client)


def _raw(host: Host, protocol: int) -> socket.socket:
    return host.socket(socket.AF_INET, socket.SOCK_RAW, protocol)


def _strip_ip(packet: bytes) -> bytes:
    return packet[(packet[0] & 15) * 4 :]


def _pumped(
    stage: Stage, ethernet: bool, open_wire: Callable[[Host], socket.socket],
    wrap: Callable[[bytes], bytes], unwrap: Callable[[bytes], bytes | None], version: int = 4, port: int = 0,
) -> None:  # fmt: skip
    for mine, peer in _both_ways(stage):
        wire = open_wire(mine)
        stage.pumps.append(pump.Pump(mine, "tun0", ethernet, wire, wrap, unwrap, (peer.address(), port)))
    pump.address(stage, "tun0", ethernet)
    stage.watch_inside("tun0", LINK_ETHERNET if ethernet else LINK_RAW)
    _converse(stage, version)


def _gre(stage: Stage) -> None:
    head = struct.pack(">HH", 0, 0x0800)
    _pumped(stage, False, lambda host: _raw(host, 47), lambda p: head + p, lambda p: _strip_ip(p)[4:])


def _gre_key_v6(stage: Stage) -> None:
    head = struct.pack(">HHI", 0x2000, 0x86DD, 7)
    _pumped(stage, False, lambda host: _raw(host, 47), lambda p: head + p, lambda p: _strip_ip(p)[8:], 6)


def _ipip(stage: Stage) -> None:
    _pumped(stage, False, lambda host: _raw(host, 4), lambda p: p, _strip_ip)


def _sixin4(stage: Stage) -> None:
    _pumped(stage, False, lambda host: _raw(host, 41), lambda p: p, _strip_ip, 6)


def _geneve(stage: Stage) -> None:
    head = struct.pack(">BBHI", 0, 0, 0x6558, 42 << 8)

    def bound(host: Host) -> socket.socket:
        wire = host.socket(socket.AF_INET, socket.SOCK_DGRAM)
        wire.bind(("", 6081))
        return wire

    _pumped(stage, True, bound, lambda p: head + p, lambda p: p[8:], port=6081)


def _tagged(stage: Stage, tags: bytes) -> None:
    def wrap(frame: bytes) -> bytes:
        return frame[:12] + tags + frame[12:]

    def unwrap(frame: bytes) -> bytes | None:
        # the kernel has taken the outer tag off already
        inner = frame[12 + len(tags) - 4 :]
        return frame[:12] + inner if frame[6:8] == b"\x02\x00" and frame[:6] != frame[6:12] else None

    for host, _ in _both_ways(stage):
        wire = host.socket(socket.AF_PACKET, socket.SOCK_RAW)
        wire.setsockopt(263, 23, 1)  # PACKET_IGNORE_OUTGOING: do not read back what this end sends
        wire.bind(("eth0", _ETH_P_ALL))
        stage.pumps.append(pump.Pump(host, "tun0", True, wire, wrap, unwrap, ("eth0", _ETH_P_ALL)))
    pump.address(stage, "tun0", ethernet=True)
    stage.watch_inside("tun0")
    _converse(stage)


def _vlan(stage: Stage) -> None:
    _tagged(stage, struct.pack(">HH", 0x8100, 7))


def _qinq(stage: Stage) -> None:
    _tagged(stage, struct.pack(">HHHH", 0x88A8, 100, 0x8100, 7))


def _raw_ip(stage: Stage) -> None:
    _ipip(stage)
    stage.outer = None


def _any_interface(stage: Stage) -> None:
    """Capture with `tcpdump -i any`, whose link type is Linux cooked (SLL2, or SLL of an old libpcap)."""
    path, client = scratch(stage, "any.pcap"), stage.lab.client
    command = ("tcpdump", "-i", "any", "-s", "128", "-U", "-n", "--immediate-mode", "--time-stamp-precision", "nano",
               "-Z", "root", "-w", str(path), "tcp or udp port 9")  # fmt: skip
    with client.popen(command, stderr=subprocess.PIPE) as capture:
        try:
            assert capture.stderr is not None
            said = ""
            while "listening on" not in said:
                line = capture.stderr.readline()
                said += line
                if not line:
                    raise LabError(f"tcpdump did not start: {' '.join(said.split())}")
            _converse(stage)
            # a marker that comes after all the rest: once it is in the file, so is everything before it
            with client.socket(socket.AF_INET, socket.SOCK_DGRAM) as marker:
                marker.sendto(b"the end of the capture", (stage.lab.server.address(), 9))
            wait_until(lambda: b"the end of the capture" in path.read_bytes(), "tcpdump's file")
        finally:
            capture.terminate()
    stage.captured = _frames_of(path)


def _frames_of(path: Path) -> tuple[list[Frame], int]:
    """Return the frames of a little-endian pcap with nanoseconds, as this machine's tcpdump has just written it."""
    data = path.read_bytes()
    if data[:4] != struct.pack("=I", 0xA1B23C4D):
        raise LabError("tcpdump wrote another format than it was asked for")
    frames, at, link = [], 24, struct.unpack_from("=I", data, 20)[0]
    while at + 16 <= len(data):
        seconds, ns, size, wirelen = struct.unpack_from("=IIII", data, at)
        frames.append(Frame(seconds * 10**9 + ns, wirelen, data[at + 16 : at + 16 + size]))
        at += 16 + size
    return frames, link


_SESSION = ended(
    "TIME_WAIT",
    "CLOSED",
    ending="closed",
    first_closer="client",
    close_order="Ff",
    half_closed_by="client",
    half_closed_bytes=70,
    new_bytes_clt=5,
    new_bytes_srv=70,
    conn_state="SF",
    phase="closed",
)


def _pattern(
    encap: str,
    about: str,
    play: Callable[[Stage], None],
    *,
    version: int = 4,
    name: str = "",
    needs: tuple[str, ...] = (_TUN,),
    **fields: int,
) -> Pattern:
    expected = _SESSION | {"encap": encap} | fields
    return Pattern(
        name or encap,
        about,
        play,
        (expected,),
        version=version,
        snaplen=160,
        needs=needs,
    )


PATTERNS = (
    _pattern("vxlan", "a half-close inside VXLAN of the Linux kernel", _vxlan, needs=()),
    _pattern("gre", "a half-close inside GRE", _gre),
    _pattern("gre", "the same over IPv6 inside GRE with a key", _gre_key_v6, version=6, name="gre_key_v6"),
    _pattern("ipip", "a half-close inside IP in IP", _ipip),
    _pattern("sixin4", "a half-close over IPv6 inside IPv4", _sixin4, version=6),
    _pattern("geneve", "a half-close inside Geneve", _geneve),
    _pattern("vlan", "a half-close with a VLAN tag", _vlan, vlan=7),
    _pattern("qinq", "a half-close with two VLAN tags", _qinq, vlan=7),
    _pattern("none", "a half-close on a device without a link layer", _raw_ip, name="raw_ip"),
    _pattern(
        "none",
        "a half-close seen by tcpdump on all interfaces",
        _any_interface,
        name="any_interface",
        needs=("tcpdump", "setgroups"),
    ),
)
