"""Who may ask: the right host name, the token if there is one; and headers that keep pages on their own."""

from __future__ import annotations

import hmac
import ipaddress
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "lastack_token"
#: No inline script, no other host, no frame, no form: what a page shows came from packets of strangers.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def is_loopback(host: str) -> bool:
    """Return whether a host name can only be this machine."""
    name = host.strip("[]").casefold()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


class Doorkeeper:
    """Lets requests in, or not.

    A server on loopback answers to names of loopback only: a page on the Internet whose name is made to point to
    127.0.0.1 gets nothing (DNS rebinding).

    Args:
        app: What is behind it.
        token: What askers must know, empty for nothing.
        loopback_only: Answer only to names of this machine.
        secure: The server speaks TLS.
    """

    def __init__(
        self, app: ASGIApp, token: str = "", loopback_only: bool = True, secure: bool = False
    ) -> None:
        self._app, self._token, self._loopback, self._secure = app, token, loopback_only, secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or have it answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope)
        await (refusal if refusal is not None else self._app)(scope, receive, guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
        if self._loopback and not is_loopback(name):
            return PlainTextResponse("this server answers to the names of this machine only\n", 421)
        if not self._token or self._knows(headers):
            return None
        return self._sign_in(scope)

    def _knows(self, headers: Headers) -> bool:
        given = headers.get("authorization", "")
        if given[:7].casefold() == "bearer " and self._right(given[7:].strip()):
            return True
        cookie: SimpleCookie = SimpleCookie()
        try:
            cookie.load(headers.get("cookie", ""))
        except CookieError:
            return False
        return COOKIE in cookie and self._right(cookie[COOKIE].value)

    def _right(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._token.encode())

    def _sign_in(self, scope: Scope) -> Response:
        """Take the token of a link into a cookie, or say what is missing."""
        pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = dict(pairs).get("token", "")
        path = scope["path"]
        if given and self._right(given) and path.startswith("/") and not path.startswith("//"):
            rest = urlencode([(key, value) for key, value in pairs if key != "token"])
            response = RedirectResponse(f"{path}?{rest}" if rest else path, 303)
            response.set_cookie(COOKIE, self._token, httponly=True, samesite="strict", secure=self._secure)
            return response
        message = (
            "a token is needed: open the link that `lastack serve` printed, or send Authorization: Bearer"
        )
        error = {"error": {"code": "token", "message": message}}
        if path.startswith("/api/"):
            return JSONResponse(error, 401, {"WWW-Authenticate": "Bearer"})
        return PlainTextResponse(f"{message}\n", 401, {"WWW-Authenticate": "Bearer"})
