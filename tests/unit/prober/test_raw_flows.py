"""Raw trials over loopback with real raw sockets, where this process has them; bounded, and deaf to strangers."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence

import pytest

from lastack.model.errors import UsageError
from lastack.prober.loop import Loop
from lastack.prober.question import RAW
from lastack.prober.raw_flows import FIRST_TAG, LAST_TAG, RawClient, RawServer
from lastack.prober.raw_port import QuietPort, missing, plain
from lastack.prober.trial import EndReport, Side, Trial, combine

pytestmark = pytest.mark.skipif(bool(missing()), reason=missing() or "there are raw sockets")
MS = 10**6


def trials(count: int, wait_ns: int = 20 * MS) -> list[Trial]:
    question = RAW[0]
    return [
        Trial(number, question.name, question.sender, None, wait_ns, 0, question.via, question.raw)
        for number in range(1, count + 1)
    ]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_every_question__passes_loopback(address: str) -> None:
    if address == "::1" and not socket.has_dualstack_ipv6():
        pytest.skip("no IPv6")
    loop = Loop()
    server = RawServer(loop, address, 0)
    theirs: dict[int, EndReport] = {}
    mine: dict[int, EndReport] = {}

    def announce(batch: Sequence[Trial], answered: Callable[[int, str], None]) -> None:
        answered(server.expect(address, batch, lambda report: theirs.update({report.number: report})), "")

    version = 6 if ":" in address else 4
    client = RawClient(
        loop, version, (address, server.port), announce, lambda report: mine.update({report.number: report}),
        lambda number: None, address,
    )  # fmt: skip
    asked = [
        Trial(number, one.name, one.sender, None, 20 * MS, 0, one.via, one.raw)
        for number, one in enumerate(RAW, 1)
    ]
    client.start(asked)
    end = loop.now() + 10**10
    while len(theirs) < len(asked) and loop.now() < end:
        loop.step()
    for trial in asked:
        if trial.number not in mine:
            client.finish(trial.number)
        sender, receiver = mine[trial.number], theirs[trial.number]
        if trial.sender is Side.server:
            sender, receiver = receiver, sender
        assert combine(trial, sender, receiver).kept, trial
    client.close()
    server.close()
    loop.close()


def test_tags__differ_go_round_and_are_bounded() -> None:
    loop = Loop()
    server = RawServer(loop, "127.0.0.1", 0, most=1000, per_source=300)
    first = server.expect("192.0.2.1", trials(100), lambda report: None)
    second = server.expect("::ffff:192.0.2.1", trials(100), lambda report: None)
    assert (first, second) == (FIRST_TAG, FIRST_TAG + 100)
    assert server.expect("192.0.2.2", trials(100), lambda report: None) == FIRST_TAG
    server.expect("192.0.2.1", trials(100), lambda report: None)
    with pytest.raises(UsageError, match="too many"):
        server.expect("192.0.2.1", trials(1), lambda report: None)
    server._tags["192.0.2.3"] = LAST_TAG - 10
    assert server.expect("192.0.2.3", trials(100), lambda report: None) == FIRST_TAG
    server.close()
    loop.close()


def test_a_quiet_port__answers_nothing() -> None:
    quiet = QuietPort("127.0.0.1")
    with socket.socket() as sock:
        sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            sock.connect(("127.0.0.1", quiet.port))
    quiet.close()


def test_plain__is_how_an_address_is_written() -> None:
    assert (plain("::ffff:192.0.2.1"), plain("192.0.2.1"), plain("2001:db8::1")) == (
        "192.0.2.1", "192.0.2.1", "2001:db8::1",
    )  # fmt: skip
