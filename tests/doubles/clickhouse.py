"""ClickHouse's engine (chDB) behind its HTTP interface, as far as a client's queries and inserts need it.

`python -m tests.doubles.clickhouse PORT FOLDER` serves until it is killed; tests talk to it through `Double`. Each
HTTP session is a connection of its own to the one engine, so that temporary tables and settings are apart; one query
runs at a time. The engine cannot be stopped cleanly beside other threads, so the process ends without asking it.

What it is not: a server. It knows one password, no rights, no cluster, no compression of answers, and its engine is not
multi-tenant. `PUT /fault` makes it fail as servers do.
"""

from __future__ import annotations

import base64
import contextlib
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

HOST = "127.0.0.1"
#: What an HTTP request may say that is no setting of the engine.
_TRANSPORT = frozenset(
    {
        "database", "query", "session_id", "session_timeout", "session_check", "query_id", "compress", "decompress",
        "wait_end_of_query", "role", "client_protocol_version", "send_progress_in_http_headers",
        "http_headers_progress_interval_ms", "enable_http_compression", "quota_key", "buffer_size",
    }
)  # fmt: skip
_FORMAT = re.compile(r"\bFORMAT\s+(\w+)\s*;?\s*$", re.IGNORECASE)
_INSERT = re.compile(rb"\s*(INSERT\s+INTO\s.+?)\s+FORMAT\s+(\w+)[ \t]*\n", re.IGNORECASE | re.DOTALL)
_CODE = re.compile(r"Code: (\d+)")
_START_S = 30.0
_LONG_ANSWER = 20_000


def why_not() -> str:
    """Return why there can be no double here, empty if there can."""
    missing = [name for name in ("chdb", "clickhouse_connect") if find_spec(name) is None]
    return f"{' and '.join(missing)} not installed (requirements-doubles.lock)" if missing else ""


class Double:
    """A server in a process of its own; the same folder after `kill` and `start` has what was there.

    Args:
        folder: Where the engine keeps its data.
        password: Of the user `default`; none is asked for if empty.
        tls: Files of a certificate and its key, to speak TLS; empty to speak plainly.
    """

    def __init__(self, folder: Path, password: str = "", tls: tuple[str, str] | tuple[()] = ()) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.password, self._tls = password, tls
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as free:
            free.bind((HOST, 0))
            self.port: int = free.getsockname()[1]

    def url(self, database: str, user: str = "") -> str:
        """Return the URL of a database; `user` with an @."""
        return f"clickhouse://{user}{HOST}:{self.port}/{database}"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        environment = {**os.environ, "DOUBLE_PASSWORD": self.password}
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__, str(self.port), str(self._folder), *self._tls],
            env=environment,
            cwd=Path(__file__).parents[2],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        until = time.monotonic() + _START_S
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection((HOST, self.port), 0.2):
                return
            if self._process.poll() is not None:
                break
            time.sleep(0.02)  # a bounded wait for another process, which has no other way to tell
        self.kill()
        raise RuntimeError("the double of ClickHouse did not start")

    def fault(self, what: str) -> None:
        """Let something go wrong.

        `before` or `after` the next insert is done, the process dies without an answer; `half` of each longer answer is
        sent and the connection closed, `none` ends that.
        """
        request = urllib.request.Request(f"http://{HOST}:{self.port}/fault", what.encode(), method="PUT")
        urllib.request.urlopen(request, timeout=10).close()

    def cpu_s(self) -> float:
        """Return the CPU seconds that it has used."""
        assert self._process is not None, "it was started"
        used = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(used[11]) + int(used[12])) / os.sysconf("SC_CLK_TCK")

    def wait_dead(self) -> None:
        """Wait until a fault has ended it."""
        assert self._process is not None, "it was started"
        self._process.wait(20)

    def kill(self) -> None:
        """End it at once, as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(20)
            self._process = None


class _Engine:
    """The engine and its connections; one query at a time."""

    def __init__(self, folder: str) -> None:
        import chdb

        self._chdb, self._folder = chdb, folder
        self._lock = threading.Lock()
        self._sessions: dict[str, Any] = {}
        self._settings: dict[int, dict[str, str]] = {}
        self.fault = ""

    def run(self, asked: dict[str, str], body: bytes) -> bytes:
        """Return the answer to a request."""
        with self._lock:
            session = self._session(asked.get("session_id", ""))
            if asked.get("database"):
                session.query(f"USE `{asked['database']}`")
            settings = {k: v for k, v in asked.items() if k not in _TRANSPORT and not k.startswith("param_")}
            texts = {k.removeprefix("param_"): v for k, v in asked.items() if k.startswith("param_")}
            insert = _INSERT.match((asked["query"] + "\n").encode() if "query" in asked else body)
            if insert is not None:
                data = body if "query" in asked else body[insert.end() :]
                return self._insert(session, insert, data, settings)
            return self._query(session, asked.get("query", "") or body.decode(), settings, texts)

    def _session(self, name: str) -> Any:
        if name not in self._sessions:
            self._sessions[name] = self._chdb.connect(self._folder)
        return self._sessions[name]

    def _query(self, session: Any, text: str, settings: dict[str, str], texts: dict[str, str]) -> bytes:
        found = _FORMAT.search(text)
        known = self._settings.setdefault(id(session), {})
        for name in known.keys() - settings.keys():
            session.query(f"SET {name} = DEFAULT")
        for name in [name for name, value in settings.items() if known.get(name) != value]:
            session.query(f"SET {name} = {_quoted(settings[name])}")
        self._settings[id(session)] = settings
        done = session.query(text, found.group(1) if found else "TabSeparated", params=texts)
        answer: bytes = done.bytes() if done is not None else b""
        return answer or b""

    def _insert(self, session: Any, insert: re.Match[bytes], data: bytes, settings: dict[str, str]) -> bytes:
        if self.fault == "before":
            os._exit(1)
        with tempfile.NamedTemporaryFile(dir=self._folder, prefix="insert-") as file:
            file.write(data)
            file.flush()
            told = ", ".join(f"{name} = {_quoted(value)}" for name, value in settings.items())
            told = f" SETTINGS {told}" if told else ""
            session.query(
                f"{insert.group(1).decode()} FROM INFILE '{file.name}'{told} FORMAT {insert.group(2).decode()}"
            )
        if self.fault == "after":
            os._exit(1)
        return b""


def _quoted(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _handler(engine: _Engine, password: str) -> type[BaseHTTPRequestHandler]:
    expected = "Basic " + base64.b64encode(f"default:{password}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # head and body are written apart: each answer would wait 40 ms

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Transfer-Encoding") == "chunked":
                body = b"".join(iter(self._chunk, b""))
            if self.headers.get("Content-Encoding") == "lz4":
                import lz4.frame

                body = lz4.frame.decompress(body)
            if password and self.headers.get("Authorization") != expected:
                self._answer(403, b"Code: 516. DB::Exception: default: Authentication failed", 516)
                return
            asked = dict(parse_qsl(urlsplit(self.path).query, keep_blank_values=True))
            try:
                self._answer(200, engine.run(asked, body))
            except RuntimeError as error:
                code = _CODE.search(str(error))
                self._answer(500, str(error).encode(), int(code.group(1)) if code else 1000)

        do_GET = do_POST  # noqa: N815  (the standard library's name)

        def do_PUT(self) -> None:
            engine.fault = self.rfile.read(int(self.headers["Content-Length"])).decode()
            self._answer(200, b"")

        def _chunk(self) -> bytes:
            size = int(self.rfile.readline().strip() or b"0", 16)
            data = self.rfile.read(size)
            self.rfile.readline()
            return data

        def _answer(self, status: int, body: bytes, code: int | None = None) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("X-ClickHouse-Summary", "{}")
            self.send_header("X-ClickHouse-Timezone", "UTC")
            if code is not None:
                self.send_header("X-ClickHouse-Exception-Code", str(code))
            self.end_headers()
            if engine.fault == "half" and len(body) > _LONG_ANSWER:
                self.wfile.write(body[: len(body) // 2])
                self.close_connection = True
                return
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def main() -> None:
    """Serve until the process is ended."""
    port, folder = int(sys.argv[1]), sys.argv[2]
    engine = _Engine(folder)
    engine.run({"query": "SELECT 1"}, b"")
    server = ThreadingHTTPServer((HOST, port), _handler(engine, os.environ.get("DOUBLE_PASSWORD", "")))
    if len(sys.argv) > 3:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[3], sys.argv[4])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    server.serve_forever()


if __name__ == "__main__":
    main()
