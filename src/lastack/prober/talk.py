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
class Exchange:
    """One step of a conversation in lines, as a `query_response` of blackbox_exporter.

    Attributes:
        expect: Lines are read until one contains it; None reads nothing.
        send: Said then, with a line end; `${1}` is the first group of `expect`. Empty says nothing.
    """

    expect: re.Pattern[bytes] | None = None
    send: bytes = b""


@dataclass(frozen=True, slots=True)
class Script:
    """What is said and expected.

    Attributes:
        send: Bytes to send first.
        half_close: Send FIN after them: the answer must come through a half-closed connection.
        expect: What the answer must contain; None takes any answer, or a FIN where nothing is sent.
        exchanges: Steps in lines, instead of all that.
    """

    send: bytes = b""
    half_close: bool = False
    expect: re.Pattern[bytes] | None = None
    exchanges: tuple[Exchange, ...] = ()


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
        self._step = 0
        self._read = 0  # bytes of the answer that are behind the steps done
        super().__init__(loop, (address, port), timeout_ns, source)

    def opened(self, sock: socket.socket) -> None:
        """Say what the script says."""
        if self._script.exchanges:
            self._exchange(sock, ended=False)
            return
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
            if self._script.exchanges:
                self._exchange(sock, ended=not data)
                continue
            if self._satisfied(ended=not data):
                self.finish(Result(Opening.up, self.rtt_ns, detail=f"{len(self._got)} bytes"))
            elif not data or len(self._got) > _MOST:
                self._fail(f"the answer, {len(self._got)} bytes, is not what was expected", mismatched=True)

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

    def _exchange(self, sock: socket.socket, *, ended: bool) -> None:
        """Go through the steps as far as what has come allows."""
        while self._step < len(self._script.exchanges):
            step = self._script.exchanges[self._step]
            found: re.Match[bytes] | None = None
            while step.expect is not None and found is None:
                line = self._line(ended=ended)
                if line is None:
                    if ended or len(self._got) > _MOST:
                        self._fail(f"no line has {step.expect.pattern.decode()!r}", mismatched=True)
                    return
                found = step.expect.search(line)
            self._step += 1
            if step.send:
                try:
                    sock.sendall(_filled(step.send, found) + b"\n")
                except OSError as error:
                    self._fail(f"sending: {error.strerror}")
                    return
        self.finish(Result(Opening.up, self.rtt_ns, detail=f"{len(self._got)} bytes"))

    def _line(self, *, ended: bool) -> bytes | None:
        """Return the next line without its end, None if it is not whole yet."""
        end = self._got.find(b"\n", self._read)
        if end < 0:
            if not ended or self._read >= len(self._got):
                return None
            end = len(self._got)
        line, self._read = self._got[self._read : end], end + 1
        return line.removesuffix(b"\r")

    def _fail(self, detail: str, *, mismatched: bool = False) -> None:
        self.finish(Result(Opening.failed, self.rtt_ns, detail=detail, mismatched=mismatched))


def _filled(text: bytes, found: re.Match[bytes] | None) -> bytes:
    """Return a text with `${1}` and `${name}` replaced by what was found; groups that are not there become nothing."""
    if found is None:
        return text

    def group(place: re.Match[bytes]) -> bytes:
        name = place.group(1) or place.group(2)
        key: int | str = int(name) if name.isdigit() else name.decode()
        try:
            return found.group(key) or b""
        except (IndexError, KeyError):
            return b""

    return re.sub(rb"\$(?:\{(\w+)\}|(\w+))", group, text)
