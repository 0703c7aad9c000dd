"""A responder opens connections back to who asked and proves that it listens, and to nobody else."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastack.model.errors import UsageError
from lastack.prober import protocol
from lastack.prober.extras import Extras
from lastack.prober.loop import Loop
from lastack.prober.plan import Plan, Scope
from lastack.prober.question import REVERSE
from lastack.prober.responder import Responder
from lastack.prober.reverse import Back
from lastack.prober.runner import Runner
from lastack.prober.target import Target
from lastack.prober.trial import Raw, Side, Trial, Via

RUN = "0123456789abcdef"
SECRET = "s" * 32


@contextmanager
def responding(*, reverse: bool) -> Iterator[Responder]:
    loop = Loop()
    responder = Responder(loop, "127.0.0.1", 0, extras=Extras(back=Back(loop) if reverse else None))
    thread = threading.Thread(target=loop.run)
    thread.start()
    try:
        yield responder
    finally:
        loop.stop()
        thread.join(5)
        responder.close()
        loop.close()


def request(responder: Responder, operation: str, run: str = RUN, **members: object) -> dict[str, object]:
    with socket.create_connection(("127.0.0.1", responder.port), timeout=5) as sock:
        sock.sendall(protocol.encode(operation, run, "", **members))
        reply: dict[str, object] = json.loads(sock.makefile("rb").read())
        return reply


def settled(responder: Responder, run: str, port: int) -> dict[str, object]:
    while (reply := request(responder, "reverse", run, port=port, secret=SECRET)).get("looking"):
        pass
    return reply


def test_without_leave__it_connects_nowhere() -> None:
    with responding(reverse=False) as responder, socket.create_server(("127.0.0.1", 0)) as listener:
        reply = request(responder, "reverse", port=listener.getsockname()[1], secret=SECRET)
        assert "--allow-reverse" in str(reply["error"])
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_a_port_that_proves_nothing__gets_one_line_and_no_trials() -> None:
    heard: list[bytes] = []
    with responding(reverse=True) as responder, socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with listener.accept()[0] as sock:
                heard.append(sock.recv(4096))
                sock.sendall(b'{"version": 2, "nonce": "guessed"}\n')

        thread = threading.Thread(target=accept)
        thread.start()
        reply = settled(responder, RUN, listener.getsockname()[1])
        thread.join(5)
        assert "cannot be opened from there" in str(reply["error"])
        assert heard[0].count(b"\n") == 1
        trial = Trial(1, "x", Side.client, None, 1000, via=Via.reverse)
        refused = request(responder, "batch", **protocol.batch([trial]))
        assert refused["error"] == "no reverse trials here"


def test_looks__are_rare() -> None:
    with responding(reverse=True) as responder, socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert request(responder, "reverse", port=port, secret=SECRET)["looking"]
        other = request(responder, "reverse", "another0123456", port=port, secret=SECRET)
        assert "a moment ago" in str(other["error"])


@pytest.mark.parametrize(
    "members",
    [{}, {"port": 0, "secret": SECRET}, {"port": "80", "secret": SECRET}, {"port": 80, "secret": "x\r\n" * 9},
     {"port": 80, "secret": SECRET, "rate": 0}],
)  # fmt: skip
def test_nonsense__is_refused(members: dict[str, object]) -> None:
    with responding(reverse=True) as responder:
        assert request(responder, "reverse", **members)["error"]


def test_a_whole_run__opened_from_the_other_end() -> None:
    scope = Scope(REVERSE, 20_000_000, 200_000_000, 40, deadline_ns=10**9)
    with responding(reverse=True) as responder:
        plan = Plan(scope)
        runner = Runner(Target("127.0.0.1", responder.port), plan, reuse=False)
        runner.run()
    assert not runner.facts.untested
    for inquiry in plan.inquiries.values():
        bound = inquiry.search.bound()
        assert bound.broken_ns is None
        assert bound.kept == 7


def test_not_allowed__is_told_and_left_out() -> None:
    with responding(reverse=False) as responder:
        plan = Plan(Scope(REVERSE, 20_000_000, 50_000_000, 8, deadline_ns=10**9))
        runner = Runner(Target("127.0.0.1", responder.port), plan, reuse=False)
        runner.run()
    assert runner.facts.untested[0].questions == tuple(question.name for question in REVERSE)
    assert not plan.inquiries


TRIALS = st.builds(
    Trial,
    number=st.integers(1, 10**6),
    question=st.text(max_size=10),
    sender=st.just(Side.server),
    closer=st.sampled_from([None, Side.client]),
    wait_ns=st.integers(0, 10**12),
    talk_ns=st.integers(0, 10**10),
    via=st.just(Via.reverse),
    raw=st.none(),
)


@given(TRIALS, st.lists(st.tuples(st.integers(1, 10**6), st.integers(0, 10**12)), min_size=1, max_size=100))
def test_batch__comes_back_and_fits_into_a_request(trial: Trial, waits: list[tuple[int, int]]) -> None:
    from dataclasses import replace

    trials = [replace(trial, number=number, wait_ns=wait) for number, wait in waits]
    line = protocol.encode("batch", RUN, SECRET, **protocol.batch(trials))
    assert len(line) <= protocol.MAX_REQUEST
    assert protocol.trials_of(protocol.decode(line.strip(), SECRET)) == trials


@given(
    st.dictionaries(
        st.sampled_from(["trial", "waits"]),
        st.recursive(
            st.none() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
            ),
        ),
    )
)
def test_batches__of_nonsense_are_usage_errors(body: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        protocol.trials_of(body)


def test_raw_trials__say_what_they_do() -> None:
    with pytest.raises(UsageError, match="raw"):
        Trial(1, "x", Side.client, None, 0, via=Via.raw)
    with pytest.raises(UsageError, match="raw"):
        Trial(1, "x", Side.client, None, 0, raw=Raw("opening", "ack"))  # type: ignore[arg-type]
