"""Recipes of the ways in which a session opens or fails to: refused, dropped, aborted, half-open, reused."""

from __future__ import annotations

import contextlib
import errno
import socket

from closelab import netns
from closelab.lab import Lab
from closelab.packet import ACK, RST, SYN, Segment, syn_packet
from closelab.recipe import Recipe, ended, never
from closelab.talk import CLIENT_PORT, PORT, Talk, client, listen, start_connecting, talk

_FLOOD = 40


def _refuse(lab: Lab, version: int) -> None:
    sock = client(lab, version)
    with contextlib.suppress(ConnectionRefusedError):
        sock.connect((lab.server[version], PORT))


def _refused(lab: Lab) -> None:
    _refuse(lab, 4)


def _refused_v6(lab: Lab) -> None:
    _refuse(lab, 6)


def _is_syn(segment: Segment) -> bool:
    return segment.flags & (SYN | ACK) == SYN


def _is_synack(segment: Segment) -> bool:
    return segment.flags & (SYN | ACK) == SYN | ACK


def _syn_dropped(lab: Lab) -> None:
    lab.rules("srv", rule="tcp flags syn drop")
    start_connecting(client(lab), lab.server[4])
    lab.wait_segments(2, _is_syn, "SYN")


def _prohibit(lab: Lab, version: int) -> None:
    listen(lab, version)
    kind = "icmp type admin-prohibited" if version == 4 else "icmpv6 type admin-prohibited"
    lab.rules("srv", rule=f"meta l4proto tcp reject with {kind}")
    sock = client(lab, version)
    with contextlib.suppress(OSError):
        sock.connect((lab.server[version], PORT))
    netns.wait_until(lambda: len(lab.wire.frames) > len(lab.wire.segments()), "an ICMP error")


def _rejected_icmp(lab: Lab) -> None:
    _prohibit(lab, 4)


def _rejected_icmp_v6(lab: Lab) -> None:
    _prohibit(lab, 6)


def _aborted_by_client(lab: Lab) -> None:
    listen(lab)
    lab.rules("clt", rule="tcp flags & (syn | ack) == syn | ack drop")
    sock = client(lab)
    start_connecting(sock, lab.server[4])
    lab.wait_segments(1, _is_synack, "SYN-ACK")
    sock.close()
    lab.rules("clt")
    lab.wait_segments(1, lambda s: bool(s.flags & RST), "RST")


def _aborted_by_server(lab: Lab) -> None:
    # the ACK is seen here and lost behind us; the server's application then stops listening
    listener = listen(lab)
    lab.rules("srv", rule="tcp flags & (syn | ack) == ack drop")
    sock = client(lab)
    sock.connect((lab.server[4], PORT))
    listener.close()
    lab.rules("srv")
    sock.sendall(b"x" * 9)
    lab.wait_segments(1, lambda s: bool(s.flags & RST), "RST")


def _ack_lost(lab: Lab) -> None:
    listen(lab)
    lab.rules("clt", "output", "tcp flags & (syn | ack) == ack drop")
    sock = client(lab)
    sock.connect((lab.server[4], PORT))
    lab.wait_segments(2, _is_synack, "SYN-ACK")


def _syn_scan(lab: Lab) -> None:
    listen(lab)
    with netns.inside(lab.clt):
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    lab.open.append(raw)
    for number, port in enumerate(range(PORT, PORT + 5)):
        raw.sendto(
            syn_packet(lab.client[4], CLIENT_PORT, lab.server[4], port, 1000 + number), (lab.server[4], 0)
        )
    lab.wait_segments(5, lambda s: bool(s.flags & RST), "RST")


def _syn_flood(lab: Lab) -> None:
    listen(lab)
    lab.sysctl("srv", "net/ipv4/tcp_synack_retries", "1")
    netns.run("ip", "-n", lab.srv, "route", "add", "203.0.113.0/24", "via", lab.client[4])
    with netns.inside(lab.clt):
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    lab.open.append(raw)
    for number in range(_FLOOD):
        packet = syn_packet(f"203.0.113.{1 + number}", 1024 + number, lab.server[4], PORT, 5000 + number)
        raw.sendto(packet, (lab.server[4], 0))
    lab.wait_segments(_FLOOD, _is_synack, "SYN-ACK")


def _simultaneous_open(lab: Lab) -> None:
    ends = {"clt": lab.socket("clt"), "srv": lab.socket("srv")}
    ends["clt"].bind((lab.client[4], CLIENT_PORT))
    ends["srv"].bind((lab.server[4], PORT))
    for side in ends:
        lab.rules(side, rule="tcp flags syn drop")
    start_connecting(ends["clt"], lab.server[4])
    start_connecting(ends["srv"], lab.client[4], CLIENT_PORT)
    lab.wait_segments(2, _is_syn, "SYN")
    for side in ends:
        lab.rules(side)
    made = Talk(lab, ends["clt"], ends["srv"], CLIENT_PORT, PORT)
    for side in ends:
        made.wait_state(side, "ESTABLISHED")
    made.say("clt", 5)
    made.shut("clt")
    made.wait_readable_end("srv")
    made.close("srv")
    made.wait_state("clt", "TIME_WAIT")
    made.wait_state("srv", "CLOSED")


def _port_reused(lab: Lab) -> None:
    listener = listen(lab)
    first = talk(lab, listener=listener)
    first.say("clt", 5)
    first.shut("srv")
    first.wait_readable_end("clt")
    first.close("clt")
    first.wait_state("srv", "TIME_WAIT")
    second = talk(lab, listener=listener)
    second.say("clt", 9)
    second.acknowledged("clt")
    second.reset("clt")
    second.expect_error("srv", errno.ECONNRESET)


def _fast_open(lab: Lab) -> None:
    for side in ("clt", "srv"):
        lab.sysctl(side, "net/ipv4/tcp_fastopen", "3")
    listener = listen(lab, fast_open=True)
    for number, size in enumerate((20, 30)):
        sock = client(lab, port=CLIENT_PORT + number)
        sock.setblocking(
            True
        )  # a time-out would make the socket non-blocking, and the call fail with EINPROGRESS
        sock.sendto(b"x" * size, socket.MSG_FASTOPEN, (lab.server[4], PORT))
        accepted, _ = listener.accept()
        lab.open.append(accepted)
        made = Talk(lab, sock, accepted, CLIENT_PORT + number, PORT)
        got = 0
        while got < size:
            got += len(accepted.recv(size))
        made.acknowledged("clt")
        made.wait_state("srv", "ESTABLISHED")
        made.shut("clt")
        made.wait_readable_end("srv")
        made.close("srv")
        made.wait_readable_end("clt")
        made.wait_state("srv", "CLOSED")


def _reconnect_after_crash(lab: Lab) -> None:
    listener = listen(lab)
    first = talk(lab, listener=listener)
    first.say("clt", 5)
    first.acknowledged("clt")
    first.crash("clt")
    sock = client(lab)
    sock.connect((lab.server[4], PORT))
    accepted, _ = listener.accept()
    lab.open.append(accepted)
    second = Talk(lab, sock, accepted, CLIENT_PORT, PORT)
    second.say("clt", 8)
    second.acknowledged("clt")


_REFUSED = never(
    "refused",
    "CLOSED",
    "CLOSED",
    first_closer="server",
    close_order="r",
    conn_state="REJ",
    history="Sr",
    rst_seq="exact",
    observed="complete",
)
_SILENT = never(
    "unanswered", "SYN_SENT", "UNKNOWN", first_closer="none", close_order="", conn_state="S0", history="S"
)
_HALF_OPEN = never(
    "half_open",
    "ESTABLISHED",
    "SYN_RECEIVED",
    first_closer="none",
    close_order="",
    conn_state="S1",
    history="Sh",
)
_ABORTED = never(
    "aborted", "CLOSED", "CLOSED", first_closer="client", close_order="R", conn_state="RSTO", history="ShR"
)
_CLOSED = ended(
    "TIME_WAIT", "CLOSED", ending="closed", first_closer="client", close_order="Ff", conn_state="SF"
)

RECIPES = (
    Recipe("refused", "nobody listens on the port", _refused, (_REFUSED,)),
    Recipe("refused_v6", "the same over IPv6", _refused_v6, (_REFUSED,), version=6),
    Recipe(
        "syn_dropped",
        "a firewall in front of the server drops the SYN",
        _syn_dropped,
        (_SILENT,),
        quick=False,
    ),
    Recipe(
        "rejected_icmp",
        "a firewall answers the SYN by ICMP administratively prohibited",
        _rejected_icmp,
        (_SILENT | {"opening": "refused_icmp"},),
        quick=False,
    ),
    Recipe(
        "rejected_icmp_v6",
        "the same over ICMPv6",
        _rejected_icmp_v6,
        (_SILENT | {"opening": "refused_icmp"},),
        version=6,
        quick=False,
    ),
    Recipe(
        "aborted_by_client",
        "the client gives up before the SYN-ACK comes, and resets it",
        _aborted_by_client,
        (_ABORTED,),
        quick=False,
    ),
    Recipe(
        "aborted_by_server",
        "the ACK is lost behind the observer, the server stops listening and resets the data",
        _aborted_by_server,
        (
            ended(
                "CLOSED",
                "CLOSED",
                ending="rst",
                first_closer="server",
                close_order="r",
                conn_state="RSTR",
                phase="established",
                unacked_bytes_clt=9,
            ),
        ),
    ),
    Recipe(
        "ack_lost",
        "the handshake's last ACK is lost before the observer: half-open",
        _ack_lost,
        (_HALF_OPEN,),
        quick=False,
    ),
    Recipe(
        "syn_scan",
        "a scanner sends SYNs to one open and four closed ports",
        _syn_scan,
        (_ABORTED, *(_REFUSED | {"server_port": PORT + n} for n in range(1, 5))),
    ),
    Recipe(
        "syn_flood",
        "forty SYNs from addresses that never answer the SYN-ACK",
        _syn_flood,
        tuple(
            _HALF_OPEN | {"client_ip": f"203.0.113.{1 + n}", "client_port": 1024 + n} for n in range(_FLOOD)
        ),
    ),
    Recipe(
        "simultaneous_open",
        "both ends connect to each other at the same time",
        _simultaneous_open,
        (_CLOSED | {"opening": "simultaneous"},),
        quick=False,
    ),
    Recipe(
        "port_reused",
        "the client's port is used again while the server is in TIME_WAIT",
        _port_reused,
        (
            ended(
                "CLOSED",
                "TIME_WAIT",
                ending="closed",
                first_closer="server",
                close_order="fF",
                conn_state="SF",
                new_bytes_clt=5,
            ),
            ended(
                "CLOSED",
                "CLOSED",
                ending="rst",
                first_closer="client",
                close_order="R",
                conn_state="RSTO",
                new_bytes_clt=9,
            ),
        ),
    ),
    Recipe(
        "fast_open",
        "TCP Fast Open: the second client sends 30 bytes in its SYN",
        _fast_open,
        tuple(
            _CLOSED | {"client_port": CLIENT_PORT + n, "new_bytes_clt": size}
            for n, size in enumerate((20, 30))
        ),
    ),
    Recipe(
        "reconnect_after_crash",
        "the client crashes and connects again from the same port: challenge ACK, RST, and the SYN again",
        _reconnect_after_crash,
        (
            ended(
                "CLOSED",
                "CLOSED",
                ending="rst",
                first_closer="client",
                close_order="R",
                conn_state="RSTO",
                new_bytes_clt=5,
                syn_clt=1,
                rst_clt=1,
            ),
            ended(
                "ESTABLISHED",
                "ESTABLISHED",
                ending="open",
                first_closer="none",
                close_order="",
                conn_state="S1",
                new_bytes_clt=8,
                syn_clt=2,
                rst_clt=0,
                observed="end_missing",
            ),
        ),
        quick=False,
    ),
)
