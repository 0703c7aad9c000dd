"""A responder serves valid requests, refuses others in bounded time and memory, and connects nowhere."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lastack.model.errors import InputError, UsageError
from lastack.prober import protocol
from lastack.prober.limits import Limits
from lastack.prober.loop import Loop
from lastack.prober.plan import Plan, Scope
from lastack.prober.question import FORWARD
from lastack.prober.responder import Responder
from lastack.prober.runner import Runner
from lastack.prober.target import Target
from lastack.prober.trial import Side, Trial

RUN = "0123456789abcdef"


@contextmanager
def responding(token: str = "", limits: Limits | None = None) -> Iterator[Responder]:
    loop = Loop()
    responder = Responder(loop, "127.0.0.1", 0, token, limits)
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        yield responder
    finally:
        loop.stop()
        thread.join(5)
        responder.close()
        loop.close()


def talk(port: int, data: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as sock:
        sock.sendall(data)
        out = b""
        try:
            while part := sock.recv(4096):
                out += part
        except ConnectionResetError:
            pass
        return out


def error_of(reply: bytes) -> str:
    return str(json.loads(reply)["error"])


def test_hello__tells_how_the_runner_is_seen() -> None:
    with responding() as responder:
        reply = json.loads(talk(responder.port, protocol.encode("hello", RUN, "")))
        assert reply["you"][0] == "127.0.0.1"
        assert reply["version"] == protocol.VERSION


@pytest.mark.parametrize("token", ["", "wrong", "secret "])
def test_token__is_needed_and_not_told(token: str) -> None:
    with responding("secret") as responder:
        reply = talk(responder.port, protocol.encode("hello", RUN, token))
        assert error_of(reply) == "wrong token"
        assert b"secret" not in reply


@pytest.mark.parametrize(
    "line",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        protocol.MAGIC + b"[]\n",
        protocol.MAGIC + b"{}\n",
        protocol.MAGIC + b'{"op":"connect","run":"0123456789"}\n',
        protocol.MAGIC + b'{"op":"hello","run":"../../x"}\n',
        protocol.MAGIC + b'{"op":"reports","run":"0123456789","token":"","after":-1}\n',
        protocol.MAGIC + b'{"op":"trial","run":"0123456789","token":"","trial":{"number":1}}\n',
        protocol.MAGIC + b"[" * 900 + b"\n",
    ],
)
def test_nonsense__gets_one_short_line(line: bytes) -> None:
    with responding() as responder:
        reply = talk(responder.port, line)
        assert error_of(reply)
        assert len(reply) < 200


def test_a_long_line__is_cut_off() -> None:
    with responding() as responder:
        assert talk(responder.port, b"x" * (protocol.MAX_REQUEST + 500)) == b""
        assert responder.connections == 0


def test_connections__are_limited_by_source() -> None:
    with responding(limits=Limits(per_source=3)) as responder:
        held = [socket.create_connection(("127.0.0.1", responder.port), timeout=5) for _ in range(3)]
        try:
            for sock in held:  # each is accepted once its first byte is taken
                sock.sendall(protocol.MAGIC)
            assert error_of(talk(responder.port, b"")) == "too many connections"
        finally:
            for sock in held:
                sock.close()


def test_a_wait_beyond_the_limit__is_refused() -> None:
    trial = Trial(1, "idle_client", Side.client, None, 2 * 10**9)
    with responding(limits=Limits(wait_ns=10**9)) as responder:
        reply = talk(responder.port, protocol.encode("trial", RUN, "", trial=trial.to_json()))
        assert "at most 1 s" in error_of(reply)


def test_runs__are_forgotten_when_there_are_too_many() -> None:
    with responding(limits=Limits(runs=2)) as responder:
        for number in range(5):
            assert b"version" in talk(responder.port, protocol.encode("hello", f"run{number:07d}", ""))
        assert len(responder._runs) == 2


@given(st.binary(max_size=300))
@settings(max_examples=200)
def test_decode__raises_nothing_but_usage_errors(body: bytes) -> None:
    with pytest.raises(UsageError):
        protocol.decode(protocol.MAGIC + body, "token")


def test_a_whole_run__over_loopback_finds_no_timer() -> None:
    scope = Scope(FORWARD, 20_000_000, 200_000_000, 40, deadline_ns=10**9)
    with responding() as responder:
        plan = Plan(scope)
        runner = Runner(Target("127.0.0.1", responder.port), plan, reuse=False)
        runner.run()
    for inquiry in plan.inquiries.values():
        bound = inquiry.search.bound()
        assert bound.broken_ns is None
        assert bound.kept == 7
    assert not runner.facts.failures


def test_nobody_there__is_said_with_the_remedy() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        runner = Runner(Target("127.0.0.1", port), Plan(Scope()))
        with pytest.raises(InputError, match=r"ECONNREFUSED.*probe responder"):
            runner.run()
