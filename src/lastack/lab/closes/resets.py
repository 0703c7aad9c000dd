"""Patterns of RSTs that two healthy hosts send: at once, after a FIN, because of data that nobody will read."""

from __future__ import annotations

import errno

from lastack.lab.closes.pattern import Pattern, ended
from lastack.lab.closes.stage import Stage
from lastack.lab.closes.talk import greeted
from lastack.lab.packet import FIN, RST


def _reset_by_client(stage: Stage) -> None:
    made = greeted(stage)
    made.reset("clt")
    made.expect_error("srv", errno.ECONNRESET)


def _reset_by_server(stage: Stage) -> None:
    made = greeted(stage)
    made.reset("srv")
    made.expect_error("clt", errno.ECONNRESET)


def _reset_by_server_v6(stage: Stage) -> None:
    made = greeted(stage, 6)
    made.reset("srv")
    made.expect_error("clt", errno.ECONNRESET)


def _reset_after_fin(stage: Stage) -> None:
    made = greeted(stage)
    made.shut("srv")
    made.wait_readable_end("clt")
    made.wait_state("srv", "FIN_WAIT_2")
    made.reset("clt")
    made.wait_state("srv", "CLOSED")


def _reset_unread_data(stage: Stage) -> None:
    made = greeted(stage)
    made.srv.sendall(b"x" * 300)
    made.acknowledged("srv")
    made.close("clt")
    made.expect_error("srv", errno.ECONNRESET)


def _data_after_close(stage: Stage) -> None:
    made = greeted(stage)
    made.close("srv")
    made.wait_readable_end("clt")
    made.wait_state("srv", "FIN_WAIT_2")
    made.clt.sendall(b"x" * 6)
    # the reset of a connection that is already closing is EPIPE, not ECONNRESET
    made.expect_error("clt", errno.EPIPE)


def _reset_after_both_fins(stage: Stage) -> None:
    # the client closes with the reply still on its way: it has sent its FIN, and answers what comes with RSTs
    made = greeted(stage)
    made.close("clt")
    made.wait_readable_end("srv")
    made.wait_state("clt", "FIN_WAIT_2")
    stage.rules("clt", rule="tcp flags & (fin | psh) != 0 drop")
    made.srv.sendall(b"x" * 400)
    made.close("srv")
    stage.wait_segments(1, lambda s: s.src == stage.server[4] and bool(s.flags & FIN), "FIN of the server")
    stage.rules("clt")
    stage.wait_segments(1, lambda s: s.src == stage.client[4] and bool(s.flags & RST), "RST of the client")
    made.wait_state("srv", "CLOSED")


def _reset_after_fin_by_server(stage: Stage) -> None:
    made = greeted(stage)
    made.shut("clt")
    made.wait_readable_end("srv")
    made.wait_state("clt", "FIN_WAIT_2")
    made.reset("srv")
    made.wait_state("clt", "CLOSED")


def _reset_unread_data_server(stage: Stage) -> None:
    made = greeted(stage)
    made.clt.sendall(b"x" * 300)
    made.acknowledged("clt")
    made.close("srv")
    made.expect_error("clt", errno.ECONNRESET)


def _data_after_fin_timeout(stage: Stage) -> None:
    # nobody owns the server's end any more; its kernel waits for the client's FIN for tcp_fin_timeout, then forgets
    stage.sysctl("srv", "net/ipv4/tcp_fin_timeout", 1)
    made = greeted(stage)
    made.close("srv")
    made.wait_readable_end("clt")
    made.wait_state("srv", "FIN_WAIT_2")
    made.wait_state("srv", "CLOSED")
    made.clt.sendall(b"x" * 6)
    made.expect_error("clt", errno.EPIPE)


def _local_kill(stage: Stage) -> None:
    made = greeted(stage)
    ports = ["sport", "=", str(made.clt_port), "dport", "=", str(made.srv_port)]
    stage.host("clt").run(["ss", "-K", "-t", "-n", *ports])
    made.expect_error("srv", errno.ECONNRESET)


_RESET_BY_SERVER = ended(
    "CLOSED",
    "CLOSED",
    ending="rst",
    first_closer="server",
    close_order="r",
    half_closed_by="none",
    rst_seq="exact",
    conn_state="RSTR",
    phase="established",
)
_RESET_BY_CLIENT = _RESET_BY_SERVER | {"first_closer": "client", "close_order": "R", "conn_state": "RSTO"}

PATTERNS = (
    Pattern("reset_by_client", "the client closes with SO_LINGER 0", _reset_by_client, (_RESET_BY_CLIENT,)),
    Pattern("reset_by_server", "the server closes with SO_LINGER 0", _reset_by_server, (_RESET_BY_SERVER,)),
    Pattern("reset_by_server_v6", "the same over IPv6", _reset_by_server_v6, (_RESET_BY_SERVER,), version=6),
    Pattern(
        "reset_after_fin",
        "the server sends its FIN, the client answers with SO_LINGER 0",
        _reset_after_fin,
        (
            _RESET_BY_CLIENT
            | {
                "ending": "fin_rst",
                "first_closer": "server",
                "close_order": "fR",
                "half_closed_by": "server",
                "phase": "half_closed",
            },
        ),
    ),
    Pattern(
        "reset_after_fin_by_server",
        "the client sends its FIN, the server answers with SO_LINGER 0",
        _reset_after_fin_by_server,
        (
            _RESET_BY_SERVER
            | {
                "ending": "fin_rst",
                "first_closer": "client",
                "close_order": "Fr",
                "half_closed_by": "client",
                "phase": "half_closed",
            },
        ),
    ),
    Pattern(
        "reset_unread_data_server",
        "the server closes with 300 unread bytes in its buffer",
        _reset_unread_data_server,
        (_RESET_BY_SERVER | {"new_bytes_clt": 305, "unacked_bytes_clt": 0},),
    ),
    Pattern(
        "data_after_fin_timeout",
        "the server has closed and its kernel has forgotten; the client sends 6 bytes more",
        _data_after_fin_timeout,
        (
            _RESET_BY_SERVER
            | {
                "ending": "fin_rst",
                "close_order": "fr",
                "half_closed_by": "server",
                "half_closed_bytes": 6,
                "unacked_bytes_clt": 6,
                "phase": "half_closed",
            },
        ),
        quick=False,
    ),
    Pattern(
        "local_kill",
        "an administrator kills the client's connection with ss -K",
        _local_kill,
        (_RESET_BY_CLIENT,),
        needs=("ss",),
    ),
    Pattern(
        "reset_unread_data",
        "the client closes with 300 unread bytes in its buffer",
        _reset_unread_data,
        (_RESET_BY_CLIENT | {"new_bytes_srv": 307, "unacked_bytes_srv": 0},),
    ),
    Pattern(
        "data_after_close",
        "the server has fully closed; the client sends 6 bytes more",
        _data_after_close,
        (
            _RESET_BY_SERVER
            | {
                "ending": "fin_rst",
                "close_order": "fr",
                "half_closed_by": "server",
                "half_closed_bytes": 6,
                "unacked_bytes_clt": 6,
                "phase": "half_closed",
            },
        ),
    ),
    Pattern(
        "reset_after_both_fins",
        "the client closes while 400 bytes and the server's FIN are on their way; then RST",
        _reset_after_both_fins,
        (
            ended(
                "CLOSED",
                "CLOSED",
                ending="closed_rst",
                first_closer="client",
                close_order="FfR",
                half_closed_by="client",
                conn_state="SF",
            ),
        ),
    ),
)
