"""Recipes of sessions inside something: VLAN tags, tunnels, and captures without an Ethernet header."""

from __future__ import annotations

import socket
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

from closelab import netns, pump
from closelab.files import LINK_RAW
from closelab.lab import CLIENT, SERVER, Lab
from closelab.recipe import Recipe, ended
from closelab.talk import talk

_ETH_P_ALL = 3


def _converse(lab: Lab, version: int = 4) -> None:
    # half-closed by the client, so that the order matters in each wrapping
    made = talk(lab, version)
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


def _vxlan(lab: Lab) -> None:
    for name, mine, peer in ((lab.clt, CLIENT, SERVER), (lab.srv, SERVER, CLIENT)):
        kind = ("type", "vxlan", "id", "42", "local", mine[4], "remote", peer[4], "dstport", "4789")
        netns.run("ip", "-n", name, "link", "add", "tun0", *kind)
    pump.address(lab, "tun0", ethernet=True)
    lab.watch_inside("tun0")
    _converse(lab)


def _raw(namespace: str, protocol: int, version: int = 4) -> socket.socket:
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    with netns.inside(namespace):
        return socket.socket(family, socket.SOCK_RAW, protocol)


def _strip_ip(packet: bytes) -> bytes:
    return packet[(packet[0] & 15) * 4 :]


def _pumped(
    lab: Lab, ethernet: bool, open_wire: Callable[[str], socket.socket],
    wrap: Callable[[bytes], bytes], unwrap: Callable[[bytes], bytes | None], version: int = 4, port: int = 0,
) -> None:  # fmt: skip
    for name, peer in ((lab.clt, SERVER), (lab.srv, CLIENT)):
        wire = open_wire(name)
        lab.pumps.append(pump.Pump(name, "tun0", ethernet, wire, wrap, unwrap, (peer[4], port)))
    pump.address(lab, "tun0", ethernet)
    lab.watch_inside("tun0", LINK_RAW if not ethernet else 1)
    _converse(lab, version)


def _gre(lab: Lab) -> None:
    head = struct.pack(">HH", 0, 0x0800)
    _pumped(lab, False, lambda name: _raw(name, 47), lambda p: head + p, lambda p: _strip_ip(p)[4:])


def _gre_key_v6(lab: Lab) -> None:
    head = struct.pack(">HHI", 0x2000, 0x86DD, 7)
    _pumped(lab, False, lambda name: _raw(name, 47), lambda p: head + p, lambda p: _strip_ip(p)[8:], 6)


def _ipip(lab: Lab) -> None:
    _pumped(lab, False, lambda name: _raw(name, 4), lambda p: p, _strip_ip)


def _sixin4(lab: Lab) -> None:
    _pumped(lab, False, lambda name: _raw(name, 41), lambda p: p, _strip_ip, 6)


def _geneve(lab: Lab) -> None:
    head = struct.pack(">BBHI", 0, 0, 0x6558, 42 << 8)

    def bound(name: str) -> socket.socket:
        with netns.inside(name):
            wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        wire.bind(("", 6081))
        return wire

    _pumped(lab, True, bound, lambda p: head + p, lambda p: p[8:], port=6081)


def _tagged(lab: Lab, tags: bytes) -> None:
    def wrap(frame: bytes) -> bytes:
        return frame[:12] + tags + frame[12:]

    def unwrap(frame: bytes) -> bytes | None:
        # the kernel has taken the outer tag off already
        inner = frame[12 + len(tags) - 4 :]
        return frame[:12] + inner if frame[6:8] == b"\x02\x00" and frame[:6] != frame[6:12] else None

    for name in (lab.clt, lab.srv):
        with netns.inside(name):
            wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        wire.setsockopt(263, 23, 1)  # PACKET_IGNORE_OUTGOING: do not read back what this end sends
        wire.bind(("eth0", _ETH_P_ALL))
        lab.pumps.append(pump.Pump(name, "tun0", True, wire, wrap, unwrap, ("eth0", _ETH_P_ALL)))
    pump.address(lab, "tun0", ethernet=True)
    lab.watch_inside("tun0")
    _converse(lab)


def _vlan(lab: Lab) -> None:
    _tagged(lab, struct.pack(">HH", 0x8100, 7))


def _qinq(lab: Lab) -> None:
    _tagged(lab, struct.pack(">HHHH", 0x88A8, 100, 0x8100, 7))


def _raw_ip(lab: Lab) -> None:
    _ipip(lab)
    lab.outer = None


def _any_interface(lab: Lab) -> None:
    """Capture with `tcpdump -i any`, whose link type is Linux cooked (SLL2, or SLL of an old libpcap)."""
    path = Path(f"/run/{lab.clt}.pcap")
    command = ("ip", "netns", "exec", lab.clt, "tcpdump", "-i", "any", "-s", "128", "-U", "-n",
               "--immediate-mode", "-Z", "root", "-w", str(path), "tcp or udp port 9")  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as capture:
        try:
            assert capture.stderr is not None
            while "listening on" not in (line := capture.stderr.readline()):
                if not line:
                    raise netns.LabError("tcpdump did not start")
            _converse(lab)
            # a marker that comes after all the rest: once it is in the file, so is everything before it
            with netns.inside(lab.clt), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as marker:
                marker.sendto(b"the end of the capture", (SERVER[4], 9))
            netns.wait_until(lambda: b"the end of the capture" in path.read_bytes(), "tcpdump's file")
        finally:
            capture.terminate()
    lab.captured_file = path


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


def _recipe(
    encap: str, about: str, play: Callable[[Lab], None], version: int = 4, name: str = "", **fields: int
) -> Recipe:
    return Recipe(
        name or encap, about, play, (_SESSION | {"encap": encap} | fields,), version=version, snaplen=160
    )


RECIPES = (
    _recipe("vxlan", "a half-close inside VXLAN of the Linux kernel", _vxlan),
    _recipe("gre", "a half-close inside GRE", _gre),
    _recipe("gre", "the same over IPv6 inside GRE with a key", _gre_key_v6, 6, "gre_key_v6"),
    _recipe("ipip", "a half-close inside IP in IP", _ipip),
    _recipe("sixin4", "a half-close over IPv6 inside IPv4", _sixin4, 6),
    _recipe("geneve", "a half-close inside Geneve", _geneve),
    _recipe("vlan", "a half-close with a VLAN tag", _vlan, vlan=7),
    _recipe("qinq", "a half-close with two VLAN tags", _qinq, vlan=7),
    _recipe("none", "a half-close on a device without a link layer", _raw_ip, name="raw_ip"),
    _recipe("none", "a half-close seen by tcpdump on all interfaces", _any_interface, name="any_interface"),
)
