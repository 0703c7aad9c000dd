"""A question that nobody waits for, that takes too long or too much, ends and frees its place: on a real server."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from lastack.lab.waiting import wait_until
from lastack.store.dataset import connect
from lastack.web.endpoint import Ask, Endpoint, Settings
from lastack.web.jobs import Jobs, Limits
from lastack.web.library import Library
from lastack.web.params import Param
from lastack.web.responder import Responder
from lastack.web.warm import ADDRESSES, warm

#: Would run for hours: it must be interrupted inside one statement.
HEAVY = "SELECT count(*) FROM range(4000000) a, range(4000000) b WHERE a.range * b.range % 7 = 3"
#: Keeps 400 MB of different values.
LARGE = "SELECT count(DISTINCT range) FROM range(50000000)"


@dataclass
class Server:
    """A server with endpoints of this test, and what became of their questions."""

    port: int
    jobs: Jobs
    begun: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)

    def get(self, path: str) -> tuple[int, Any, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read()), dict(answer.getheaders())
        finally:
            connection.close()

    def leave(self, path: str) -> None:
        """Ask, and go away while the question runs."""
        before = len(self.begun)
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as asker:
            asker.sendall(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
            wait_until(lambda: len(self.begun) > before, "the question runs", 10, 0.01)


def sql(server: Server, name: str, text: str) -> Callable[[Ask], Any]:
    def handler(ask: Ask) -> Any:
        server.begun.append(name)
        try:
            with connect() as connection:
                return connection.execute(text).fetchall()
        except duckdb.Error as error:
            server.ended.append(f"{name}: {type(error).__name__}")
            raise
        finally:
            server.ended.append(name)

    return handler


def between(server: Server) -> Callable[[Ask], Any]:
    """Return a handler that is never inside the database, as when rows are turned into JSON."""

    def handler(ask: Ask) -> Any:
        server.begun.append("between")
        try:
            while not server.gate.wait(0.005):
                ask.job.check()
            return "done"
        finally:
            server.ended.append("between")

    return handler


@pytest.fixture
def serve(dataset: Path) -> Iterator[Callable[[Limits], Server]]:
    running: list[tuple[uvicorn.Server, threading.Thread, Server]] = []

    def start(limits: Limits) -> Server:
        library = Library([str(dataset)])
        jobs = Jobs(library.folders, limits)
        responder = Responder(library, jobs, Settings())
        listener = socket.create_server(("127.0.0.1", 0))
        found = Server(listener.getsockname()[1], jobs)
        handlers = {
            "heavy": sql(found, "heavy", HEAVY),
            "large": sql(found, "large", LARGE),
            "light": sql(found, "light", "SELECT 1"),
            "between": between(found),
        }
        number = Param("n", "whole", "Makes a question another one.", 0)
        routes = [
            Route(
                f"/{name}", responder.app(Endpoint(f"/{name}", name, handler, (number,), patience=patience))
            )
            for name, handler in handlers.items()
            for patience in (100.0 if name == "between" else 1.0,)
        ]
        config = uvicorn.Config(Starlette(routes=routes), log_level="error", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        running.append((server, thread, found))
        return found

    yield start
    for server, thread, found in running:
        found.gate.set()
        server.should_exit = server.force_exit = True
        thread.join(10)


@pytest.mark.parametrize("name", ["heavy", "between"])
def test_asker_who_leaves__frees_the_only_place(serve: Callable[[Limits], Server], name: str) -> None:
    server = serve(Limits(at_once=1))
    server.leave(f"/{name}")
    status, answer, _ = server.get("/light")  # waits for the place
    assert (status, answer) == (200, [[1]])
    assert name in server.ended


def test_question__that_takes_too_long_is_a_504_and_frees_its_place(
    serve: Callable[[Limits], Server],
) -> None:
    server = serve(Limits(at_once=1, seconds=0.4))
    status, answer, _ = server.get("/heavy")
    assert (status, answer["error"]["code"]) == (504, "stopped")
    assert "no answer within 0.4 s" in answer["error"]["message"]
    assert server.ended == ["heavy: InterruptException", "heavy"]
    assert server.get("/light")[0] == 200


def test_question__of_a_patient_endpoint_gets_longer(serve: Callable[[Limits], Server]) -> None:
    server = serve(Limits(seconds=0.2))
    threading.Timer(0.6, server.gate.set).start()
    assert server.get("/between")[:2] == (200, "done")


def test_question__that_wants_too_much_memory_is_told(serve: Callable[[Limits], Server]) -> None:
    server = serve(Limits(memory=40 << 20))
    status, answer, _ = server.get("/large")
    assert (status, answer["error"]["code"]) == (503, "too_large")
    assert server.ended[0] == "large: OutOfMemoryException"


def test_questions__beyond_the_queue_are_a_503_that_says_when_to_come_again(
    serve: Callable[[Limits], Server],
) -> None:
    server = serve(Limits(at_once=1, waiting=1))
    askers = [threading.Thread(target=server.get, args=(f"/between?n={number}",)) for number in range(2)]
    askers[0].start()
    wait_until(lambda: server.begun == ["between"], "the first runs", 10, 0.01)
    askers[1].start()
    wait_until(lambda: server.jobs.waiting == 1, "the second waits", 10, 0.01)
    status, answer, headers = server.get("/between?n=9")
    assert (status, answer["error"]["code"]) == (503, "busy")
    assert int(headers["retry-after"]) > 0
    server.gate.set()
    for asker in askers:
        asker.join(10)


def test_asker_who_leaves_the_queue__is_not_waited_for(serve: Callable[[Limits], Server]) -> None:
    server = serve(Limits(at_once=1))
    first = threading.Thread(target=server.get, args=("/between?n=1",))
    first.start()
    wait_until(lambda: server.begun == ["between"], "the first runs", 10, 0.01)
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as asker:
        asker.sendall(b"GET /light HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: server.jobs.waiting == 1, "the second waits", 10, 0.01)
    wait_until(lambda: server.jobs.waiting == 0, "its place in the queue is free", 10, 0.01)
    server.gate.set()
    first.join(10)
    assert server.begun == ["between"]


def test_question__that_several_ask_at_once_is_computed_once(serve: Callable[[Limits], Server]) -> None:
    server = serve(Limits())
    answers: list[Any] = []
    askers = [threading.Thread(target=lambda: answers.append(server.get("/between")[1])) for _ in range(5)]
    for asker in askers:
        asker.start()
    wait_until(lambda: server.begun == ["between"], "it runs", 10, 0.01)
    server.gate.set()
    for asker in askers:
        asker.join(10)
    assert answers == ["done"] * 5
    assert server.begun == ["between"]


def test_question__whose_first_asker_leaves_is_computed_for_the_next(
    serve: Callable[[Limits], Server],
) -> None:
    server = serve(Limits())
    answers: list[Any] = []
    second = threading.Thread(target=lambda: answers.append(server.get("/between")[1]))
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as first:
        first.sendall(b"GET /between HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_until(lambda: server.begun == ["between"], "the first runs", 10, 0.01)
        second.start()
    wait_until(lambda: server.begun == ["between"] * 2, "it runs again", 10, 0.01)
    server.gate.set()
    second.join(10)
    assert answers == ["done"]


def test_warm__answers_are_kept_under_what_pages_ask(dataset: Path) -> None:
    library = Library([str(dataset)])
    responder = Responder(library, Jobs(library.folders), Settings())
    warm(responder, least=1).join(30)
    assert len(responder.cache) == len(ADDRESSES)
    idle = Responder(library, Jobs(library.folders), Settings())
    warm(idle, least=10**9).join(30)
    assert len(idle.cache) == 0
