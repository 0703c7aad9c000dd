"""Patterns of a box in the middle that forgets a session too soon: a real Linux NAT with timers of a second.

A box's timer is made of silence (or of age), so these patterns do pause: the pause is the pattern.
"""

from __future__ import annotations

import errno
import time

from lastack.lab.closes.pattern import Pattern, ended
from lastack.lab.closes.stage import Stage
from lastack.lab.closes.talk import Talk, greeted
from lastack.lab.packet import RST, Segment
from lastack.lab.waiting import wait_until

_TIMER_S = 1
_LONGER_S = 1.4
_SHORTER_S = 0.6


def _half_closed(stage: Stage) -> Talk:
    made = greeted(stage)
    made.shut("clt")
    made.wait_readable_end("srv")
    made.wait_state("clt", "FIN_WAIT_2")
    return made


def _is_repeated(stage: Stage, side: str, size: int, times: int) -> None:
    port = stage.clt_port
    stage.wait_segments(
        times,
        lambda s: s.payload == size and (s.sport == port) == (side == "clt"),
        f"segment of {size} bytes",
    )


def _half_closed_silent(stage: Stage) -> None:
    made = _half_closed(stage)
    time.sleep(_LONGER_S)
    made.srv.sendall(b"x" * 200)
    _is_repeated(stage, "srv", 200, 4)


def _half_closed_reset(stage: Stage) -> None:
    made = _half_closed(stage)
    time.sleep(_LONGER_S)
    made.srv.sendall(b"x" * 200)
    stage.wait_segments(1, lambda s: bool(s.flags & RST), "RST")
    # a connection that the other end has half-closed fails with EPIPE
    made.expect_error("srv", errno.EPIPE, errno.ECONNRESET)


def _half_closed_refreshed(stage: Stage) -> None:
    made = _half_closed(stage)
    for _ in range(4):
        time.sleep(_SHORTER_S)
        made.say("srv", 100)
    made.acknowledged("srv")
    made.close("srv")
    made.wait_readable_end("clt")
    made.close("clt")
    made.wait_state("srv", "CLOSED")
    made.wait_state("clt", "TIME_WAIT")


def _half_closed_aged(stage: Stage) -> None:
    made = _half_closed(stage)

    def ignored() -> list[Segment]:
        """Return what the server has sent since the client's last word."""
        segments = stage.wire.segments()
        last = max(at for at, segment in enumerate(segments) if segment.sport == stage.clt_port)
        return segments[last + 1 :]

    def forgotten() -> bool:
        # a server that talks all the time, into a box that counts from the FIN
        made.srv.sendall(b"x" * 100)
        time.sleep(0.1)
        return len(ignored()) >= 5

    wait_until(forgotten, "the box to forget the session")
    # let it be seen that the server's kernel begins again and again
    wait_until(lambda: len({s.seq for s in ignored()}) + 2 < len(ignored()), "retransmissions")


def _idle_silent(stage: Stage) -> None:
    made = greeted(stage)
    time.sleep(_LONGER_S)
    made.clt.sendall(b"x" * 60)
    _is_repeated(stage, "clt", 60, 4)


def _idle_reset(stage: Stage) -> None:
    made = greeted(stage)
    time.sleep(_LONGER_S)
    made.clt.sendall(b"x" * 60)
    made.expect_error("clt", errno.ECONNRESET)


_HALF_CLOSED = ended(
    "FIN_WAIT_2",
    "CLOSE_WAIT",
    ending="half_closed",
    first_closer="client",
    close_order="F",
    half_closed_by="client",
    conn_state="S2",
    phase="half_closed",
    observed="end_missing",
)
_RESET = ended(
    "CLOSED",
    "CLOSED",
    half_closed_by="none",
    ending="rst",
    first_closer="server",
    close_order="r",
    conn_state="RSTR",
    phase="established",
    unacked_bytes_clt=60,
)
_OPEN = ended(
    "ESTABLISHED",
    "ESTABLISHED",
    ending="vanished",
    first_closer="none",
    close_order="",
    conn_state="S1",
    phase="established",
    observed="end_missing",
    unacked_bytes_clt=60,
)
_NAT = {"timers": {"half_closed": _TIMER_S}}
_NAT_IDLE = {"timers": {"established": _TIMER_S}}
_FORGED = "the RST is the box's own; the client's kernel never hears of it"

PATTERNS = (
    Pattern(
        "nat_half_closed_silent",
        "a NAT forgets a half-closed session after 1 s of silence; what the server then sends is dropped",
        _half_closed_silent,
        (_HALF_CLOSED | {"unacked_bytes_srv": 200, "half_closed_bytes": 200},),
        watch="srv",
        quick=False,
        topology="nat",
        options=_NAT,
    ),
    Pattern(
        "nat_half_closed_reset",
        "a NAT forgets a half-closed session after 1 s of silence, and answers the server by RST",
        _half_closed_reset,
        (
            ended(
                "CLOSED",
                "CLOSED",
                ending="fin_rst",
                first_closer="client",
                close_order="FR",
                half_closed_by="client",
                phase="half_closed",
                unacked_bytes_srv=200,
            ),
        ),
        watch="srv",
        quick=False,
        topology="nat",
        options=_NAT | {"expired": "reset"},
        blind=_FORGED,
    ),
    Pattern(
        "nat_half_closed_refreshed",
        "the server sends every 0.6 s through a NAT that forgets half-closed sessions after 1 s of silence",
        _half_closed_refreshed,
        (
            ended(
                "TIME_WAIT",
                "CLOSED",
                ending="closed",
                first_closer="client",
                close_order="Ff",
                half_closed_by="client",
                half_closed_bytes=400,
                conn_state="SF",
                phase="closed",
            ),
        ),
        watch="srv",
        quick=False,
        topology="nat",
        options=_NAT,
    ),
    Pattern(
        "nat_half_closed_aged",
        "a NAT forgets a half-closed session 1 s after its FIN, though the server sends ten times a second",
        _half_closed_aged,
        (_HALF_CLOSED,),
        watch="srv",
        quick=False,
        topology="nat",
        options={"half_closed_life_ms": 1000 * _TIMER_S},
    ),
    Pattern(
        "nat_idle_silent",
        "a NAT forgets an idle session after 1 s; what the client then sends is dropped",
        _idle_silent,
        (_OPEN,),
        quick=False,
        topology="nat",
        options=_NAT_IDLE,
    ),
    Pattern(
        "nat_idle_reset",
        "a NAT forgets an idle session after 1 s, and answers the client by RST in the server's name",
        _idle_reset,
        (_RESET,),
        quick=False,
        topology="nat",
        options=_NAT_IDLE | {"expired": "reset"},
        blind="the RST is the box's own; the server's kernel never hears of it",
    ),
)
