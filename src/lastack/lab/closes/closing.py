"""Recipes of the ways in which two healthy hosts end a session: FINs in every order, RSTs of every kind."""

from __future__ import annotations

import errno
import time

from lastack.lab.closes.pattern import Expected, Pattern, ended
from lastack.lab.closes.stage import Stage
from lastack.lab.closes.talk import Talk, listen, talk
from lastack.lab.packet import FIN, RST

_CLEAN: Expected = {"ending": "closed", "conn_state": "SF", "phase": "closed", "half_closed_bytes": 0}


def _greet(stage: Stage, version: int = 4) -> Talk:
    made = talk(stage, version)
    made.say("clt", 5)
    made.say("srv", 7)
    made.acknowledged("srv")
    return made


def _orderly(made: Talk, first: str, second: str) -> None:
    made.shut(first)
    made.wait_readable_end(second)
    made.wait_state(first, "FIN_WAIT_2")
    made.close(second)
    made.wait_readable_end(first)
    made.close(first)
    made.wait_state(second, "CLOSED")
    made.wait_state(first, "TIME_WAIT")


def _client_first(stage: Stage) -> None:
    _orderly(_greet(stage), "clt", "srv")


def _client_first_v6(stage: Stage) -> None:
    _orderly(_greet(stage, 6), "clt", "srv")


def _server_first(stage: Stage) -> None:
    _orderly(_greet(stage), "srv", "clt")


def _simultaneous(stage: Stage) -> None:
    made = _greet(stage)
    for side in ("clt", "srv"):
        stage.rules(side, rule="tcp flags & fin == fin drop")
    made.shut("clt")
    made.shut("srv")
    for side in ("clt", "srv"):
        stage.rules(side)
    for side in ("clt", "srv"):
        made.wait_state(side, "TIME_WAIT")


def _half_close(first: str, second: str, stage: Stage, version: int = 4) -> None:
    made = talk(stage, version)
    made.say(first, 100)
    made.shut(first)
    made.wait_readable_end(second)
    for _ in range(5):
        # the pause is part of the pattern: a reply that is worked out while half-closed
        time.sleep(0.1)
        made.say(second, 200)
    made.acknowledged(second)
    made.close(second)
    made.wait_readable_end(first)
    made.close(first)
    made.wait_state(second, "CLOSED")
    made.wait_state(first, "TIME_WAIT")


def _half_close_client(stage: Stage) -> None:
    _half_close("clt", "srv", stage)


def _half_close_client_v6(stage: Stage) -> None:
    _half_close("clt", "srv", stage, 6)


def _half_close_server(stage: Stage) -> None:
    _half_close("srv", "clt", stage)


def _half_closed_waiting(stage: Stage) -> None:
    made = _greet(stage)
    made.shut("clt")
    made.wait_readable_end("srv")
    made.wait_state("clt", "FIN_WAIT_2")


def _reset_by_client(stage: Stage) -> None:
    made = _greet(stage)
    made.reset("clt")
    made.expect_error("srv", errno.ECONNRESET)


def _reset_by_server(stage: Stage) -> None:
    made = _greet(stage)
    made.reset("srv")
    made.expect_error("clt", errno.ECONNRESET)


def _reset_by_server_v6(stage: Stage) -> None:
    made = _greet(stage, 6)
    made.reset("srv")
    made.expect_error("clt", errno.ECONNRESET)


def _reset_after_fin(stage: Stage) -> None:
    made = _greet(stage)
    made.shut("srv")
    made.wait_readable_end("clt")
    made.wait_state("srv", "FIN_WAIT_2")
    made.reset("clt")
    made.wait_state("srv", "CLOSED")


def _reset_unread_data(stage: Stage) -> None:
    made = _greet(stage)
    made.srv.sendall(b"x" * 300)
    made.acknowledged("srv")
    made.close("clt")
    made.expect_error("srv", errno.ECONNRESET)


def _data_after_close(stage: Stage) -> None:
    made = _greet(stage)
    made.close("srv")
    made.wait_readable_end("clt")
    made.wait_state("srv", "FIN_WAIT_2")
    made.clt.sendall(b"x" * 6)
    # the reset of a connection that is already closing is EPIPE, not ECONNRESET
    made.expect_error("clt", errno.EPIPE)


def _reset_after_both_fins(stage: Stage) -> None:
    # the client closes with the reply still on its way: it has sent its FIN, and answers what comes with RSTs
    made = _greet(stage)
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


def _kept_open(stage: Stage) -> None:
    _greet(stage)


def _many_on_one_server(stage: Stage) -> None:
    listener = listen(stage)
    made = [talk(stage, listener=listener, offset=number) for number in range(6)]
    for each in made:
        each.say("clt", 10)
    for number, each in enumerate(made):
        _orderly(each, *(("clt", "srv") if number % 2 else ("srv", "clt")))


_CLOSED_BY_CLIENT = ended(
    "TIME_WAIT", "CLOSED", first_closer="client", close_order="Ff", half_closed_by="client", **_CLEAN
)
_CLOSED_BY_SERVER = ended(
    "CLOSED", "TIME_WAIT", first_closer="server", close_order="fF", half_closed_by="server", **_CLEAN
)
_HALF_CLOSED_BY_CLIENT = _CLOSED_BY_CLIENT | {
    "half_closed_bytes": 1000,
    "new_bytes_clt": 100,
    "new_bytes_srv": 1000,
}
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
    Pattern(
        "close_client_first", "both close in order, the client first", _client_first, (_CLOSED_BY_CLIENT,)
    ),
    Pattern("close_client_first_v6", "the same over IPv6", _client_first_v6, (_CLOSED_BY_CLIENT,), version=6),
    Pattern(
        "close_server_first", "both close in order, the server first", _server_first, (_CLOSED_BY_SERVER,)
    ),
    Pattern(
        "close_simultaneous",
        "both send a FIN before they see the other's; both FINs are repeated",
        _simultaneous,
        (
            ended(
                "TIME_WAIT",
                "TIME_WAIT",
                ending="closed",
                first_closer="both",
                close_order="Ff",
                conn_state="SF",
                phase="closed",
                fin_clt_uniq=1,
                fin_srv_uniq=1,
            ),
        ),
    ),
    Pattern(
        "half_close_client",
        "the client sends its FIN, then reads 1,000 bytes that are sent over half a second",
        _half_close_client,
        (_HALF_CLOSED_BY_CLIENT,),
        quick=False,
    ),
    Pattern(
        "half_close_client_v6",
        "the same over IPv6",
        _half_close_client_v6,
        (_HALF_CLOSED_BY_CLIENT,),
        version=6,
        quick=False,
    ),
    Pattern(
        "half_close_server",
        "the server sends its FIN, then reads 1,000 bytes from the client",
        _half_close_server,
        (_CLOSED_BY_SERVER | {"half_closed_bytes": 1000, "new_bytes_srv": 100, "new_bytes_clt": 1000},),
        quick=False,
    ),
    Pattern(
        "half_closed_waiting",
        "the client has sent its FIN and the server never closes",
        _half_closed_waiting,
        (
            ended(
                "FIN_WAIT_2",
                "CLOSE_WAIT",
                ending="half_closed",
                first_closer="client",
                close_order="F",
                half_closed_by="client",
                conn_state="S2",
                phase="half_closed",
                observed="end_missing",
            ),
        ),
    ),
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
    Pattern(
        "kept_open",
        "a quiet session that nobody closes",
        _kept_open,
        (
            ended(
                "ESTABLISHED",
                "ESTABLISHED",
                ending="open",
                first_closer="none",
                close_order="",
                half_closed_by="none",
                conn_state="S1",
                phase="established",
                observed="end_missing",
            ),
        ),
    ),
    Pattern(
        "many_on_one_server",
        "six interleaved sessions with one server, closed by either end in turn",
        _many_on_one_server,
        tuple((_CLOSED_BY_CLIENT if n % 2 else _CLOSED_BY_SERVER) | {"client_port": n} for n in range(6)),
    ),
)
