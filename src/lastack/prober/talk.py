"""A short conversation over a whole connection: send, close the own direction if asked to, expect an answer."""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass

from lastack.prober.attempt import Attempt, Done
from lastack.prober.loop import Loop
from lastack.prober.outcome import Opening, Result

_MOST = 65_536


@dataclass(frozen=True, slots=True)
class Script:
    """What is said and expected.

    Attributes:
        send: Bytes to send first.
        half_close: Send FIN after them: the answer must come through a half-closed connection.
        expect: What the answer must contain; None takes any answer, or a FIN where nothing is sent.
    """

    send: bytes = b""
    half_close: bool = False
    expect: re.Pattern[bytes] | None = None


class TalkAsker:
    """Talks to targets by a script.

    Args:
        loop: The loop.
        script: What is said.
        source4: Local IPv4 address, empty for the kernel's choice.
        source6: Local IPv6 address, the same.
    """

    method = "talk"

    def __init__(self, loop: Loop, script: Script, source4: str = "", source6: str = "") -> None:
        self._loop = loop
        self._script = script
        self._live: set[_Talk] = set()
        self._sources = {4: source4, 6: source6}

    def ask(self, address: str, port: int, timeout_ns: int, done: Done) -> None:
        """Talk to a target; `done` gets `up` when the conversation worked."""
        source = self._sources[6 if ":" in address else 4]
        one = _Talk(self._loop, self._script, source, address, port, timeout_ns)

        def ended(result: Result) -> None:
            self._live.discard(one)
            done(result)

        one.done = ended
        self._live.add(one)

    def close(self) -> None:
        """Close what is open."""
        for one in list(self._live):
            one.stop()
        self._live.clear()


class _Talk(Attempt):
    """One conversation."""

    def __init__(
        self, loop: Loop, script: Script, source: str, address: str, port: int, timeout_ns: int
    ) -> None:
        self._script = script
        self._got = b""
        super().__init__(loop, (address, port), timeout_ns, source)

    def opened(self, sock: socket.socket) -> None:
        """Say what the script says."""
        try:
            if self._script.send:
                sock.sendall(self._script.send)
            if self._script.half_close:
                sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._fail(f"sending: {error.strerror}")

    def readable(self, sock: socket.socket) -> None:
        """Compare the answer with what is expected."""
        while not self.over:
            try:
                data = sock.recv(4096)
            except BlockingIOError:
                return
            except OSError as error:
                self._fail(f"{error.strerror} after {len(self._got)} bytes")
                return
            self._got += data
            if self._satisfied(ended=not data):
                self.finish(Result(Opening.up, self.rtt_ns, detail=f"{len(self._got)} bytes"))
            elif not data or len(self._got) > _MOST:
                self._fail(f"the answer, {len(self._got)} bytes, is not what was expected")

    def _satisfied(self, *, ended: bool) -> bool:
        expect = self._script.expect
        if expect is not None:
            return expect.search(self._got) is not None
        return bool(self._got) or (ended and not self._script.send)

    def broke(self, error: str) -> Result:
        """Return the result of a conversation that broke."""
        return Result(Opening.failed, self.rtt_ns, detail=f"{error} after {len(self._got)} bytes")

    def expired(self) -> Result:
        """Return the result when the time is over."""
        if self.rtt_ns is None:
            return super().expired()
        side = "after our FIN" if self._script.half_close else "after the handshake"
        return Result(Opening.failed, self.rtt_ns, detail=f"silence {side}")

    def _fail(self, detail: str) -> None:
        self.finish(Result(Opening.failed, self.rtt_ns, detail=detail))
