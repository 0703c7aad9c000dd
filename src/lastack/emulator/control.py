"""The control socket of a running box: a line of JSON in, a line of JSON out, over a Unix socket."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from lastack.model.errors import InputError, LastackError, UsageError

_MOST = 1 << 16
_PATIENCE_S = 10.0

Verb = Callable[[dict[str, Any]], Any]


class Watcher(Protocol):
    """What watches descriptors: a driver."""

    def watch(self, fd: int, handler: Callable[[int], None]) -> None:
        """Call a handler when a descriptor is readable."""

    def forget(self, fd: int) -> None:
        """Stop watching it."""


class Control:
    """Answers on a Unix socket that only this user can open.

    Args:
        path: Of the socket; one that is left over is replaced, one in use is not.
        watcher: Watches it.
        verbs: What can be asked, by the request's `op`; gets the request, returns what can be JSON.

    Raises:
        UsageError: The socket cannot be made, or another box has it.
    """

    def __init__(self, path: str, watcher: Watcher, verbs: Mapping[str, Verb]) -> None:
        self._path = Path(path)
        self._watcher = watcher
        self._verbs = verbs
        self._buffers: dict[int, tuple[socket.socket, bytes]] = {}
        if self._path.is_socket():
            with socket.socket(socket.AF_UNIX) as probe:
                if probe.connect_ex(path) == 0:
                    raise UsageError(f"{path}: another box answers there")
            self._path.unlink()
        self._listener = socket.socket(socket.AF_UNIX)
        try:
            before = os.umask(0o077)
            try:
                self._listener.bind(path)
            finally:
                os.umask(before)
        except OSError as error:
            self._listener.close()
            raise UsageError(f"{path}: {error.strerror}") from error
        self._listener.listen(16)
        self._listener.setblocking(False)
        watcher.watch(self._listener.fileno(), self._accept)

    def _accept(self, fd: int) -> None:
        with contextlib.suppress(OSError):
            sock, _ = self._listener.accept()
            sock.settimeout(_PATIENCE_S)
            self._buffers[sock.fileno()] = (sock, b"")
            self._watcher.watch(sock.fileno(), self._read)

    def _read(self, fd: int) -> None:
        sock, buffer = self._buffers[fd]
        try:
            data = sock.recv(_MOST)
        except OSError:
            data = b""
        buffer += data
        if data and b"\n" not in buffer and len(buffer) < _MOST:
            self._buffers[fd] = (sock, buffer)
            return
        self._watcher.forget(fd)
        del self._buffers[fd]
        if not buffer:
            sock.close()
            return
        answer = json.dumps(self._answer(buffer)).encode() + b"\n"
        # an asker who reads slowly must not hold up the frames
        threading.Thread(target=_send, args=(sock, answer), daemon=True).start()

    def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
            verb = self._verbs[request["op"]]
        except (ValueError, KeyError, TypeError, RecursionError):
            return {"error": f"not understood; op is one of {', '.join(self._verbs)}"}
        try:
            return {"answer": verb(request)}
        except (LastackError, ValueError, OverflowError) as error:
            return {"error": str(error)}
        except (KeyError, TypeError):
            return {"error": f"{request['op']}: a member of the request is missing, or no number"}

    def close(self) -> None:
        """Remove the socket."""
        self._listener.close()
        for sock, _ in self._buffers.values():
            sock.close()
        self._path.unlink(missing_ok=True)


def _send(sock: socket.socket, answer: bytes) -> None:
    with sock, contextlib.suppress(OSError):
        sock.sendall(answer)


def ask(path: str, operation: str, **members: Any) -> Any:
    """Return what a running box answers.

    Raises:
        InputError: Nobody answers at that socket.
        UsageError: The box refuses; its reason is the message.
    """
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(_PATIENCE_S)
            sock.connect(path)
            sock.sendall(json.dumps({"op": operation} | members).encode() + b"\n")
            answer = b""
            while part := sock.recv(1 << 20):
                answer += part
    except OSError as error:
        raise InputError(
            f"{path}: {error.strerror or error}; is a box with --control {path} running?"
        ) from error
    try:
        body = json.loads(answer)
    except ValueError as error:
        raise InputError(f"{path}: the answer is not understood") from error
    if "error" in body:
        raise UsageError(str(body["error"]))
    return body["answer"]
