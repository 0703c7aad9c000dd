"""Answers requests to the API: reads parameters, runs the question in a job, sends JSON or a stream."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import anyio
import anyio.from_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from lastack.model.errors import InputError
from lastack.store.guard import guarded
from lastack.web.cache import Body, Cache
from lastack.web.endpoint import Ask, Download, Endpoint, Settings
from lastack.web.jobs import Job, Jobs
from lastack.web.library import Library
from lastack.web.params import BadParameterError, read_params
from lastack.web.problems import problem

_LOG = logging.getLogger("lastack.web")
_STREAM_FACTOR = 20  # a stream may take so much longer than an answer that somebody looks at
_MOST_PARAMS = 50


class Responder:
    """Answers for all endpoints.

    Args:
        library: The datasets.
        jobs: Where questions run.
        settings: What the server was started with.
        cache: Answers to keep.
    """

    def __init__(self, library: Library, jobs: Jobs, settings: Settings, cache: Cache | None = None) -> None:
        self.library, self.jobs, self.settings = library, jobs, settings
        self.cache = Cache() if cache is None else cache
        self._underway: dict[tuple[str, str, str], anyio.Event] = {}

    def app(self, endpoint: Endpoint) -> Callable[[Request], Any]:
        """Return what answers requests to an endpoint."""

        async def answer(request: Request) -> Response:
            try:
                values = self._values(endpoint, request)
                if endpoint.media != ("application/json",):
                    return _Stream(self, endpoint, values)
                return _send(await self._body(endpoint, values, request), request)
            except Exception as error:  # whatever it is, the asker gets JSON
                return failure(error)

        return answer

    def _values(self, endpoint: Endpoint, request: Request) -> dict[str, Any]:
        raw = request.scope["query_string"].decode("latin-1")
        try:
            given = parse_qs(raw, keep_blank_values=True, max_num_fields=_MOST_PARAMS, errors="strict")
        except UnicodeDecodeError:
            raise BadParameterError("query", "the query string is not UTF-8") from None
        except ValueError:
            raise BadParameterError("query", f"more than {_MOST_PARAMS} parameters") from None
        values = read_params(endpoint.params, given)
        for param in endpoint.path_params:
            values[param.name] = param.read(request.path_params[param.name])
        return values

    async def _body(self, endpoint: Endpoint, values: dict[str, Any], request: Request) -> Body:
        if not endpoint.cached:
            return await self._run(endpoint, values, request)
        key = self._key(endpoint, values)
        # Pages that follow a dataset all ask the same at the same time: one of them has it computed.
        while (kept := self.cache.get(key)) is None and key in self._underway:
            await self._underway[key].wait()
        if kept is not None:
            return kept
        self._underway[key] = done = anyio.Event()
        try:
            body = await self._run(endpoint, values, request)
            self.cache.put(key, body)
            return body
        finally:
            del self._underway[key]
            done.set()

    async def _run(self, endpoint: Endpoint, values: dict[str, Any], request: Request) -> Body:
        seconds = self.jobs.limits.seconds * endpoint.patience
        return await self.jobs.run(lambda job: self._made(endpoint, values, job), request.receive, seconds)

    def fill(self, endpoint: Endpoint, values: dict[str, Any]) -> None:
        """Answer a question that nobody has asked yet, so that its answer is kept.

        Args:
            endpoint: Whose question.
            values: Of all its parameters.
        """
        key = self._key(endpoint, values)
        job = self.jobs.job()
        with guarded(job.admit):
            self.cache.put(key, self._made(endpoint, values, job))

    def _key(self, endpoint: Endpoint, values: dict[str, Any]) -> tuple[str, str, str]:
        version = self.library.snapshot().version
        return (endpoint.path, version, json.dumps(values, sort_keys=True, default=repr))

    def _made(self, endpoint: Endpoint, values: dict[str, Any], job: Job) -> Body:
        content = self.ask(endpoint, values, job)
        return Body.of(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode())

    def ask(self, endpoint: Endpoint, values: dict[str, Any], job: Job) -> Any:
        """Return what an endpoint's handler gives; once more if a compactor took segments away meanwhile."""
        snapshot = self.library.snapshot()
        try:
            return endpoint.handler(Ask(values, snapshot, job, self.settings))
        except InputError:
            fresh = self.library.snapshot()
            if fresh.version == snapshot.version:
                raise
            return endpoint.handler(Ask(values, fresh, job, self.settings))


def failure(error: Exception) -> Response:
    """Return the answer to what went wrong."""
    status, content = problem(error)
    if status == 500:
        _LOG.error("unexpected error", exc_info=error)
    headers = {"Retry-After": "3"} if status == 503 else None
    return JSONResponse(content, status, headers)


def _send(body: Body, request: Request) -> Response:
    headers = {"ETag": body.tag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
    if body.tag in request.headers.get("if-none-match", ""):
        return Response(None, 304, headers)
    if body.packed and "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return Response(body.packed, 200, headers, "application/json")
    return Response(body.plain, 200, headers, "application/json")


class _Stream(Response):
    """A download, made in a job while it is sent: a slow reader slows the question, memory stays as it is."""

    def __init__(self, responder: Responder, endpoint: Endpoint, values: dict[str, Any]) -> None:
        super().__init__()
        self._responder, self._endpoint, self._values = responder, endpoint, values

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        responder, begun = self._responder, False

        async def start(found: Download) -> None:
            nonlocal begun
            begun = True
            name = found.name.replace('"', "")
            headers = [
                (b"content-type", found.media.encode()),
                (b"content-disposition", f'attachment; filename="{name}"'.encode()),
                (b"cache-control", b"no-store"),
            ]
            await send({"type": "http.response.start", "status": 200, "headers": headers})

        async def piece(data: bytes) -> None:
            await send({"type": "http.response.body", "body": data, "more_body": True})

        def work(job: Job) -> None:
            found: Download = responder.ask(self._endpoint, self._values, job)
            try:
                first = next(found.pieces, b"")
                anyio.from_thread.run(start, found)
                anyio.from_thread.run(piece, first)
                for data in found.pieces:
                    job.check()
                    anyio.from_thread.run(piece, data)
            finally:
                found.close()

        try:
            await responder.jobs.run(work, receive, responder.jobs.limits.seconds * _STREAM_FACTOR)
        except Exception as error:
            if begun:  # the reader must see that it is not whole
                _LOG.warning("a stream broke off: %s", error)
                raise
            await failure(error)(scope, receive, send)
            return
        await send({"type": "http.response.body", "body": b"", "more_body": False})
