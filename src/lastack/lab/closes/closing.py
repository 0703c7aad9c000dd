"""Patterns of two healthy hosts that end a session by FINs, in every order, or do not end it."""

from __future__ import annotations

import time

from lastack.lab.closes.pattern import Expected, Pattern, ended
from lastack.lab.closes.stage import Stage
from lastack.lab.closes.talk import Talk, greeted, listen, talk

_CLEAN: Expected = {"ending": "closed", "conn_state": "SF", "phase": "closed", "half_closed_bytes": 0}


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
    _orderly(greeted(stage), "clt", "srv")


def _client_first_v6(stage: Stage) -> None:
    _orderly(greeted(stage, 6), "clt", "srv")


def _server_first(stage: Stage) -> None:
    _orderly(greeted(stage), "srv", "clt")


def _simultaneous(stage: Stage) -> None:
    made = greeted(stage)
    for side in ("clt", "srv"):
        stage.rules(side, rule="tcp flags & fin == fin drop")
    made.shut("clt")
    made.shut("srv")
    for side in ("clt", "srv"):
        stage.rules(side)
    for side in ("clt", "srv"):
        made.wait_state(side, "TIME_WAIT")


def _crossing(stage: Stage) -> None:
    # a slow line in both directions: each end's FIN waits behind its own data when the other's is sent
    made = greeted(stage)
    for side in ("clt", "srv"):
        stage.host(side).run(
            "tc qdisc add dev eth0 root tbf rate 64kbit burst 1600 latency 2s".split()  # noqa: SIM905
        )
    for side in ("clt", "srv"):
        made.end(side).sendall(b"x" * 2200)
    made.shut("clt")
    made.shut("srv")
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
    made = greeted(stage)
    made.shut("clt")
    made.wait_readable_end("srv")
    made.wait_state("clt", "FIN_WAIT_2")


def _kept_open(stage: Stage) -> None:
    greeted(stage)


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
        "close_crossing",
        "both send a FIN while the other's is on its way over a slow line; nothing is repeated",
        _crossing,
        (
            ended(
                "TIME_WAIT",
                "TIME_WAIT",
                ending="closed",
                first_closer="both",
                conn_state="SF",
                phase="closed",
                fin_clt=1,
                fin_srv=1,
                retx_packets_clt=0,
                retx_packets_srv=0,
                new_bytes_clt=2205,
                new_bytes_srv=2207,
            ),
        ),
        needs=("tc",),
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
