"""Asks an ASGI application without a socket."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

import anyio


@dataclass
class Answer:
    status_code: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes = b""

    @property
    def text(self) -> str:
        return self.content.decode()

    def json(self) -> Any:
        return json.loads(self.content)


class Client:
    """One asker, who keeps cookies; `gone_after_s` makes him leave before the answer."""

    def __init__(self, app: Any, host: str = "127.0.0.1") -> None:
        self._app, self._host, self._cookie = app, host, ""

    def get(
        self,
        path: str,
        params: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        gone_after_s: float | None = None,
        method: str = "GET",
    ) -> Answer:
        place = urlsplit(path)
        query = urlencode(params) if params else place.query
        given = {"host": self._host, **({"cookie": self._cookie} if self._cookie else {})}
        given |= {name.casefold(): value for name, value in (headers or {}).items()}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(place.path),
            "raw_path": place.path.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
            "client": ("127.0.0.1", 1),
            "server": ("127.0.0.1", 80),
        }
        answer = anyio.run(self._ask, scope, gone_after_s)
        if "set-cookie" in answer.headers:
            self._cookie = answer.headers["set-cookie"].partition(";")[0]
        return answer

    async def _ask(self, scope: dict[str, Any], gone_after_s: float | None) -> Answer:
        answer, asked = Answer(), False

        async def receive() -> dict[str, Any]:
            nonlocal asked
            if not asked:
                asked = True
                return {"type": "http.request", "body": b"", "more_body": False}
            await (anyio.sleep_forever() if gone_after_s is None else anyio.sleep(gone_after_s))
            return {"type": "http.disconnect"}

        async def send(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                answer.status_code = message["status"]
                answer.headers = {
                    name.decode().casefold(): value.decode() for name, value in message["headers"]
                }
            else:
                answer.content += message.get("body", b"")

        await self._app(scope, receive, send)
        return answer
