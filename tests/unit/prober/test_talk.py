"""A conversation in lines goes as blackbox_exporter's does; what is not expected is told apart from silence."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from lastack.prober.loop import Loop
from lastack.prober.outcome import Opening, Result
from lastack.prober.talk import Exchange, Script, TalkAsker

Serve = Callable[[socket.socket], None]
IRC = Script(
    exchanges=(
        Exchange(send=b"NICK prober"),
        Exchange(send=b"USER prober prober prober :prober"),
        Exchange(re.compile(rb"PING :(?P<word>[^ ]+)"), b"PONG ${1} $word $9"),
        Exchange(re.compile(rb"^:[^ ]+ 001")),
    )
)


@contextmanager
def serving(serve: Serve) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            with listener.accept()[0] as sock:
                serve(sock)

        thread = threading.Thread(target=accept)
        thread.start()
        yield listener.getsockname()[1]
        thread.join(5)


def talk(script: Script, port: int, timeout_ns: int = 5 * 10**9) -> Result:
    loop, results = Loop(), list[Result]()

    def done(result: Result) -> None:
        results.append(result)
        loop.stop()

    asker = TalkAsker(loop, script)
    asker.ask("127.0.0.1", port, timeout_ns, done)
    loop.run()
    asker.close()
    loop.close()
    (result,) = results
    return result


def test_exchanges__lines_are_skipped_and_groups_filled_in() -> None:
    heard: list[bytes] = []

    def irc(sock: socket.socket) -> None:
        lines = sock.makefile("rb")
        heard.extend([lines.readline(), lines.readline()])
        sock.sendall(b"hello\r\nPING :ab")
        sock.sendall(b"c\r\n")
        heard.append(lines.readline())
        sock.sendall(b":me 001 welcome")  # the last line need not end
        lines.close()

    with serving(irc) as port:
        assert talk(IRC, port).opening is Opening.up
    assert heard == [b"NICK prober\n", b"USER prober prober prober :prober\n", b"PONG abc abc \n"]


@pytest.mark.parametrize(
    ("script", "answer", "mismatched"),
    [
        (Script(exchanges=(Exchange(re.compile(b"^SSH-2.0-")),)), b"220 smtp\r\nSSH", True),
        (Script(expect=re.compile(b"^220 ")), b"554 no\r\n", True),
        (Script(expect=re.compile(b"^220 ")), b"", True),
        (Script(exchanges=(Exchange(re.compile(b"^SSH-2.0-")),)), b"x\nSSH-2.0-y", False),
    ],
)
def test_mismatch__is_no_silence(script: Script, answer: bytes, mismatched: bool) -> None:
    with serving(lambda sock: sock.sendall(answer)) as port:
        result = talk(script, port)
    assert (result.opening is Opening.failed, result.mismatched) == (mismatched, mismatched)


def test_silence__is_a_failure_after_the_handshake() -> None:
    gone = threading.Event()
    with serving(lambda sock: gone.wait(5) and None) as port:
        result = talk(Script(expect=re.compile(b"^220 ")), port, 100_000_000)
        gone.set()
    assert result.opening is Opening.failed
    assert result.detail == "silence after the handshake"
    assert not result.mismatched


def test_nobody_there__is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    assert talk(Script(), port).opening is Opening.refused
