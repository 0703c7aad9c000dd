"""Patterns of the ways in which a session opens or fails to: refused, dropped, aborted, half-open, reused."""

from __future__ import annotations

import contextlib
import errno
import socket

from lastack.lab.closes.pattern import Pattern, ended, never
from lastack.lab.closes.stage import PORT, Stage
from lastack.lab.closes.talk import Talk, client, listen, start_connecting, talk
from lastack.lab.packet import ACK, RST, SYN, Segment, syn_packet
from lastack.lab.waiting import wait_until

_FLOOD = 40
#: Not the port of the other patterns, which would be seen under the flood too when all are in one capture.
_FLOODED_PORT = 8088


def _refuse(stage: Stage, version: int) -> None:
    sock = client(stage, version)
    with contextlib.suppress(ConnectionRefusedError):
        sock.connect((stage.server[version], PORT))


def _refused(stage: Stage) -> None:
    _refuse(stage, 4)


def _refused_v6(stage: Stage) -> None:
    _refuse(stage, 6)


def _is_syn(segment: Segment) -> bool:
    return segment.flags & (SYN | ACK) == SYN


def _is_synack(segment: Segment) -> bool:
    return segment.flags & (SYN | ACK) == SYN | ACK


def _syn_dropped(stage: Stage) -> None:
    stage.rules("srv", rule="tcp flags syn drop")
    start_connecting(client(stage), stage.server[4])
    stage.wait_segments(2, _is_syn, "SYN")


def _prohibit(stage: Stage, version: int) -> None:
    listen(stage, version)
    kind = "icmp type admin-prohibited" if version == 4 else "icmpv6 type admin-prohibited"
    stage.rules("srv", rule=f"meta l4proto tcp reject with {kind}")
    sock = client(stage, version)
    with contextlib.suppress(OSError):
        sock.connect((stage.server[version], PORT))
    wait_until(lambda: len(stage.wire.frames) > len(stage.wire.segments()), "an ICMP error")


def _rejected_icmp(stage: Stage) -> None:
    _prohibit(stage, 4)


def _rejected_icmp_v6(stage: Stage) -> None:
    _prohibit(stage, 6)


def _aborted_by_client(stage: Stage) -> None:
    listen(stage)
    stage.rules("clt", rule="tcp flags & (syn | ack) == syn | ack drop")
    sock = client(stage)
    start_connecting(sock, stage.server[4])
    stage.wait_segments(1, _is_synack, "SYN-ACK")
    sock.close()
    stage.rules("clt")
    stage.wait_segments(1, lambda s: bool(s.flags & RST), "RST")


def _aborted_by_server(stage: Stage) -> None:
    # the ACK is seen here and lost behind us; the server's application then stops listening
    listener = listen(stage)
    stage.rules("srv", rule="tcp flags & (syn | ack) == ack drop")
    sock = client(stage)
    sock.connect((stage.server[4], PORT))
    listener.close()
    stage.rules("srv")
    sock.sendall(b"x" * 9)
    stage.wait_segments(1, lambda s: bool(s.flags & RST), "RST")


def _ack_lost(stage: Stage) -> None:
    listen(stage)
    stage.rules("clt", "output", "tcp flags & (syn | ack) == ack drop")
    sock = client(stage)
    sock.connect((stage.server[4], PORT))
    stage.wait_segments(2, _is_synack, "SYN-ACK")


def _syn_scan(stage: Stage) -> None:
    listen(stage)
    raw = stage.raw("clt")
    for number, port in enumerate(range(PORT, PORT + 5)):
        packet = syn_packet(stage.client[4], stage.clt_port, stage.server[4], port, 1000 + number)
        raw.sendto(packet, (stage.server[4], 0))
    stage.wait_segments(5, lambda s: bool(s.flags & RST), "RST")


def _syn_flood(stage: Stage) -> None:
    listen(stage, port=_FLOODED_PORT)
    stage.sysctl("srv", "net/ipv4/tcp_synack_retries", "1")
    stage.host("srv").ip(f"route add 203.0.113.0/24 via {stage.client[4]}")
    raw = stage.raw("clt")
    for number in range(_FLOOD):
        packet = syn_packet(
            f"203.0.113.{1 + number}", 1024 + number, stage.server[4], _FLOODED_PORT, 5000 + number
        )
        raw.sendto(packet, (stage.server[4], 0))
    stage.wait_segments(_FLOOD, _is_synack, "SYN-ACK")


def _simultaneous_open(stage: Stage) -> None:
    ends = {"clt": stage.socket("clt"), "srv": stage.socket("srv")}
    ends["clt"].bind((stage.client[4], stage.clt_port))
    ends["srv"].bind((stage.server[4], PORT))
    for side in ends:
        stage.rules(side, rule="tcp flags syn drop")
    start_connecting(ends["clt"], stage.server[4])
    start_connecting(ends["srv"], stage.client[4], stage.clt_port)
    stage.wait_segments(2, _is_syn, "SYN")
    for side in ends:
        stage.rules(side)
    made = Talk(stage, ends["clt"], ends["srv"], stage.clt_port, PORT)
    for side in ends:
        made.wait_state(side, "ESTABLISHED")
    made.say("clt", 5)
    made.shut("clt")
    made.wait_readable_end("srv")
    made.close("srv")
    made.wait_state("clt", "TIME_WAIT")
    made.wait_state("srv", "CLOSED")


def _port_reused(stage: Stage) -> None:
    listener = listen(stage)
    first = talk(stage, listener=listener)
    first.say("clt", 5)
    first.shut("srv")
    first.wait_readable_end("clt")
    first.close("clt")
    first.wait_state("srv", "TIME_WAIT")
    second = talk(stage, listener=listener)
    second.say("clt", 9)
    second.acknowledged("clt")
    second.reset("clt")
    second.expect_error("srv", errno.ECONNRESET)


def _fast_open(stage: Stage) -> None:
    for side in ("clt", "srv"):
        stage.sysctl(side, "net/ipv4/tcp_fastopen", "3")
    listener = listen(stage, fast_open=True)
    for number, size in enumerate((20, 30)):
        sock = client(stage, offset=number)
        sock.setblocking(
            True
        )  # a time-out would make the socket non-blocking, and the call fail with EINPROGRESS
        sock.sendto(b"x" * size, socket.MSG_FASTOPEN, (stage.server[4], PORT))
        accepted, _ = listener.accept()
        stage.open.append(accepted)
        made = Talk(stage, sock, accepted, stage.clt_port + number, PORT)
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


def _reconnect_after_crash(stage: Stage) -> None:
    listener = listen(stage)
    first = talk(stage, listener=listener)
    first.say("clt", 5)
    first.acknowledged("clt")
    first.crash("clt")
    sock = client(stage)
    sock.connect((stage.server[4], PORT))
    accepted, _ = listener.accept()
    stage.open.append(accepted)
    second = Talk(stage, sock, accepted, stage.clt_port, PORT)
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

PATTERNS = (
    Pattern("refused", "nobody listens on the port", _refused, (_REFUSED,)),
    Pattern("refused_v6", "the same over IPv6", _refused_v6, (_REFUSED,), version=6),
    Pattern(
        "syn_dropped",
        "a firewall in front of the server drops the SYN",
        _syn_dropped,
        (_SILENT,),
        quick=False,
        blind="no word of the server's state was seen",
    ),
    Pattern(
        "rejected_icmp",
        "a firewall answers the SYN by ICMP administratively prohibited",
        _rejected_icmp,
        (_SILENT | {"opening": "refused_icmp"},),
        quick=False,
        blind="no word of the server's state was seen",
    ),
    Pattern(
        "rejected_icmp_v6",
        "the same over ICMPv6",
        _rejected_icmp_v6,
        (_SILENT | {"opening": "refused_icmp"},),
        version=6,
        quick=False,
        blind="no word of the server's state was seen",
    ),
    Pattern(
        "aborted_by_client",
        "the client gives up before the SYN-ACK comes, and resets it",
        _aborted_by_client,
        (_ABORTED,),
        quick=False,
    ),
    Pattern(
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
    Pattern(
        "ack_lost",
        "the handshake's last ACK is lost before the observer: half-open",
        _ack_lost,
        (_HALF_OPEN,),
        quick=False,
    ),
    Pattern(
        "syn_scan",
        "a scanner sends SYNs to one open and four closed ports",
        _syn_scan,
        (_ABORTED, *(_REFUSED | {"server_port": PORT + n} for n in range(1, 5))),
    ),
    Pattern(
        "syn_flood",
        "forty SYNs from addresses that never answer the SYN-ACK",
        _syn_flood,
        tuple(
            _HALF_OPEN
            | {"client_ip": f"203.0.113.{1 + n}", "client_port": 1024 + n, "server_port": _FLOODED_PORT}
            for n in range(_FLOOD)
        ),
        blind="the addresses of the clients belong to nobody",
    ),
    Pattern(
        "simultaneous_open",
        "both ends connect to each other at the same time",
        _simultaneous_open,
        (_CLOSED | {"opening": "simultaneous"},),
        quick=False,
    ),
    Pattern(
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
    Pattern(
        "fast_open",
        "TCP Fast Open: the second client sends 30 bytes in its SYN",
        _fast_open,
        tuple(_CLOSED | {"client_port": n, "new_bytes_clt": size} for n, size in enumerate((20, 30))),
    ),
    Pattern(
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
