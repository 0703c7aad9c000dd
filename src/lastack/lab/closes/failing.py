"""Patterns of sessions that something breaks: lost FINs, crashed hosts, dead windows, middleboxes."""

from __future__ import annotations

import contextlib
import errno
import socket

from lastack.lab.closes.pattern import Pattern, ended
from lastack.lab.closes.stage import Stage
from lastack.lab.closes.talk import greeted, listen, talk
from lastack.lab.packet import FIN, RST
from lastack.lab.waiting import wait_until

_TCP_USER_TIMEOUT = 18


def _keepalive(sock: socket.socket, probes: int) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (
        (socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1), (socket.TCP_KEEPCNT, probes)
    ):  # fmt: skip
        sock.setsockopt(socket.IPPROTO_TCP, option, value)


def _peer_vanished(stage: Stage) -> None:
    made = greeted(stage)
    made.clt.setsockopt(socket.IPPROTO_TCP, _TCP_USER_TIMEOUT, 1500)
    stage.rules("srv", rule="meta l4proto tcp drop")
    made.clt.sendall(b"x" * 50)
    made.expect_error("clt", errno.ETIMEDOUT)


def _peer_dead(stage: Stage) -> None:
    made = greeted(stage)
    made.clt.setsockopt(socket.IPPROTO_TCP, _TCP_USER_TIMEOUT, 1500)
    made.crash("srv")
    stage.rules("srv", rule="meta l4proto tcp drop")
    made.clt.sendall(b"x" * 50)
    made.expect_error("clt", errno.ETIMEDOUT)


def _peer_unplugged(stage: Stage) -> None:
    # without a carrier the client's kernel keeps its segments to itself: the wire is silent
    made = greeted(stage)
    made.clt.setsockopt(socket.IPPROTO_TCP, _TCP_USER_TIMEOUT, 1500)
    stage.host("srv").ip("link set eth0 down")
    client = stage.host("clt")
    wait_until(lambda: "state UP" not in client.run(["ip", "link", "show", "eth0"]).stdout, "loss of carrier")
    made.clt.sendall(b"x" * 50)
    made.expect_error("clt", errno.ETIMEDOUT, errno.EHOSTUNREACH)


def _middlebox_icmp(stage: Stage) -> None:
    made = greeted(stage)
    made.clt.setsockopt(socket.IPPROTO_TCP, _TCP_USER_TIMEOUT, 1500)
    stage.rules("srv", rule="meta l4proto tcp reject with icmp type port-unreachable")
    made.clt.sendall(b"x" * 50)
    # an ICMP error does not end an established connection; the end goes on until its own patience ends
    made.wait_state("clt", "CLOSED")


def _peer_rebooted(stage: Stage) -> None:
    made = greeted(stage)
    made.crash("srv")
    made.clt.sendall(b"x" * 50)
    made.expect_error("clt", errno.ECONNRESET)


def _keepalive_death(stage: Stage) -> None:
    made = greeted(stage)
    stage.rules("srv", rule="meta l4proto tcp drop")
    _keepalive(made.clt, 2)
    made.expect_error("clt", errno.ETIMEDOUT)


def _keepalive_rebooted(stage: Stage) -> None:
    made = greeted(stage)
    made.crash("srv")
    _keepalive(made.clt, 2)
    made.expect_error("clt", errno.ECONNRESET)


def _keepalive_answered(stage: Stage) -> None:
    made = greeted(stage)
    count = len(stage.wire.segments())
    _keepalive(made.srv, 5)
    wait_until(lambda: len(stage.wire.segments()) >= count + 4, "two keepalives and their answers")


def _zero_window_death(stage: Stage) -> None:
    made = talk(stage, listener=listen(stage, receive_buffer=4096))
    made.clt.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
    made.clt.setblocking(False)

    def window_closed() -> bool:
        with contextlib.suppress(BlockingIOError):
            made.clt.send(b"x" * 1024)
        return any(
            segment.src == stage.server[4] and segment.window == 0 for segment in stage.wire.segments()
        )

    wait_until(window_closed, "the window of the reader that does not read to close")
    made.clt.setsockopt(socket.IPPROTO_TCP, _TCP_USER_TIMEOUT, 2500)
    stage.rules("srv", rule="meta l4proto tcp drop")
    made.expect_error("clt", errno.ETIMEDOUT)


def _fin_lost(stage: Stage) -> None:
    made = greeted(stage)
    stage.rules("srv", rule="tcp flags & fin == fin drop")
    made.shut("clt")
    stage.wait_segments(1, lambda s: bool(s.flags & FIN), "FIN")
    stage.rules("srv")
    made.wait_readable_end("srv")
    made.close("srv")
    made.wait_readable_end("clt")
    made.wait_state("clt", "TIME_WAIT")
    made.wait_state("srv", "CLOSED")


def _last_ack_lost(stage: Stage) -> None:
    # the ACK of the second FIN is lost before the observer: the server sends its FIN again
    made = greeted(stage)
    made.shut("clt")
    made.wait_readable_end("srv")
    made.wait_state("clt", "FIN_WAIT_2")
    stage.rules("clt", "output", "meta l4proto tcp drop")
    made.shut("srv")
    made.wait_state("clt", "TIME_WAIT")
    stage.rules("clt")
    made.wait_state("srv", "CLOSED")


def _middlebox_reset(stage: Stage) -> None:
    made = greeted(stage)
    stage.rules("srv", rule="meta l4proto tcp reject with tcp reset")
    made.clt.sendall(b"x" * 50)
    made.expect_error("clt", errno.ECONNRESET)
    stage.wait_segments(1, lambda s: bool(s.flags & RST), "RST")


def _retransmitted(stage: Stage) -> None:
    made = greeted(stage)
    stage.rules("srv", rule="meta l4proto tcp drop")
    made.clt.sendall(b"x" * 50)
    stage.wait_segments(3, lambda s: s.payload == 50, "segment")
    stage.rules("srv")
    made.acknowledged("clt")
    made.reset("srv")
    made.expect_error("clt", errno.ECONNRESET)


_RESET_BY_SERVER = ended(
    "CLOSED",
    "CLOSED",
    ending="rst",
    first_closer="server",
    close_order="r",
    half_closed_by="none",
    conn_state="RSTR",
    phase="established",
)
_RESET_BY_CLIENT = _RESET_BY_SERVER | {"first_closer": "client", "close_order": "R", "conn_state": "RSTO"}
_CLOSED_BY_CLIENT = ended(
    "TIME_WAIT",
    "CLOSED",
    ending="closed",
    first_closer="client",
    close_order="Ff",
    half_closed_by="client",
    conn_state="SF",
    phase="closed",
    fin_clt_uniq=1,
    fin_srv_uniq=1,
)
_OPEN = ended(
    "ESTABLISHED",
    "ESTABLISHED",
    ending="open",
    first_closer="none",
    close_order="",
    conn_state="S1",
    phase="established",
    observed="end_missing",
)

PATTERNS = (
    Pattern(
        "peer_vanished",
        "the server is cut off; the client sends again and gives up after 1.5 s",
        _peer_vanished,
        (_OPEN | {"ending": "vanished", "unacked_bytes_clt": 50},),
        quick=False,
        blind="the client's kernel has given up in silence",
    ),
    Pattern(
        "peer_dead",
        "the server has crashed and stays away; the client sends again and gives up after 1.5 s",
        _peer_dead,
        (_OPEN | {"ending": "vanished", "unacked_bytes_clt": 50},),
        quick=False,
        blind="the client's kernel has given up in silence, the server's knows nothing",
    ),
    Pattern(
        "peer_unplugged",
        "the server's cable is pulled; the client gives up after 1.5 s, and nothing of it is on the wire",
        _peer_unplugged,
        (_OPEN,),
        quick=False,
        blind="the client's kernel has given up in silence",
    ),
    Pattern(
        "middlebox_icmp",
        "a firewall answers data by ICMP port unreachable; the client sends again and gives up after 1.5 s",
        _middlebox_icmp,
        (_OPEN | {"ending": "vanished", "unacked_bytes_clt": 50},),
        quick=False,
        blind="the client's kernel has given up in silence",
    ),
    Pattern(
        "peer_rebooted",
        "the server has lost its state and resets what comes",
        _peer_rebooted,
        (_RESET_BY_SERVER | {"unacked_bytes_clt": 50, "rst_seq": "exact"},),
    ),
    Pattern(
        "keepalive_death",
        "two keepalives of the client stay unanswered; it gives up with a RST",
        _keepalive_death,
        (_RESET_BY_CLIENT | {"keepalives_clt": 2, "keepalives_srv": 0},),
        quick=False,
        blind="the RST is lost behind the observer, the server's kernel waits on",
    ),
    Pattern(
        "keepalive_rebooted",
        "a keepalive finds that the server has lost its state",
        _keepalive_rebooted,
        (_RESET_BY_SERVER | {"keepalives_clt": 1},),
        quick=False,
    ),
    Pattern(
        "keepalive_answered",
        "the server's keepalives are answered",
        _keepalive_answered,
        (_OPEN | {"keepalives_srv": 2, "keepalives_clt": 0},),
        quick=False,
    ),
    Pattern(
        "zero_window_death",
        "the server stops reading, then is cut off; the client's window probes die",
        _zero_window_death,
        (_OPEN | {"ending": "vanished", "keepalives_clt": 0},),
        quick=False,
        blind="the client's kernel has given up in silence",
    ),
    Pattern(
        "fin_lost", "the client's first FIN is lost behind the observer", _fin_lost, (_CLOSED_BY_CLIENT,)
    ),
    Pattern(
        "last_ack_lost",
        "the last ACK is lost before the observer; the server sends its FIN again",
        _last_ack_lost,
        (_CLOSED_BY_CLIENT,),
    ),
    Pattern(
        "middlebox_reset",
        "a firewall in front of the server resets the session in its name",
        _middlebox_reset,
        (_RESET_BY_SERVER | {"unacked_bytes_clt": 50},),
        blind="the RST is forged in the server's name, its kernel never hears of it",
    ),
    Pattern(
        "retransmitted",
        "a segment of the client is sent three times, then the server resets",
        _retransmitted,
        (_RESET_BY_SERVER | {"new_bytes_clt": 55},),
        quick=False,
    ),
)
