"""The web application: routes of the API and of the pages."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from lastack import __version__
from lastack.web.api import ENDPOINTS, PREFIX
from lastack.web.endpoint import Settings
from lastack.web.jobs import Jobs, Limits
from lastack.web.ledger import ENDING_CLASSES, OPENING_CLASSES
from lastack.web.library import Library
from lastack.web.openapi import document
from lastack.web.pages import PAGES, Page
from lastack.web.responder import Responder
from lastack.web.security import Doorkeeper
from lastack.web.warm import warm


def make_app(
    paths: Sequence[str],
    *,
    settings: Settings | None = None,
    limits: Limits | None = None,
    token: str = "",
    loopback_only: bool = True,
    secure: bool = False,
    threads: int | None = None,
    prepare: bool = False,
) -> ASGIApp:
    """Return the application that serves datasets.

    Args:
        paths: Folders of the datasets.
        settings: Names to show, and where captures are.
        limits: What a question gets.
        token: What askers must know, empty for nothing.
        loopback_only: Answer only to names of this machine.
        secure: The server speaks TLS.
        threads: Threads that a question uses, None for as many as there are processors.
        prepare: Ask for the overview of a large dataset before anybody does.

    Raises:
        InputError: One of the paths is no dataset.
    """
    library = Library(paths, threads)
    settings = settings or Settings(library.names)
    jobs = Jobs(library.folders, limits)
    responder = Responder(library, jobs, settings)
    if prepare:
        warm(responder)
    pages = _Pages(settings)
    openapi = document()
    routes: list[Any] = [
        Route(f"{PREFIX}/openapi.json", lambda request: JSONResponse(openapi), methods=["GET"]),
        *(Route(f"{PREFIX}{one.path}", responder.app(one), methods=["GET"]) for one in ENDPOINTS),
        Route("/healthz", lambda request: PlainTextResponse("ok\n"), methods=["GET"]),
        Route("/favicon.ico", lambda request: RedirectResponse("/static/favicon.svg"), methods=["GET"]),
        Route("/session/{id:int}", pages.view(_page("session")), methods=["GET"]),
        *(Route(page.path, pages.view(page), methods=["GET"]) for page in PAGES if page.listed),
        Mount("/static", StaticFiles(directory=_static())),
    ]
    app = Starlette(routes=routes, exception_handlers={404: _missing, 405: _missing})
    return Doorkeeper(app, token, loopback_only, secure)


def _page(name: str) -> Page:
    return next(page for page in PAGES if page.name == name)


def _static() -> Path:
    with as_file(files("lastack.web") / "static") as folder:
        return folder


def _missing(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    message = "only GET is known here" if status == 405 else f"nothing is at {request.url.path[:200]}"
    allowed = {"Allow": "GET, HEAD"} if status == 405 else None
    if request.url.path.startswith("/api/"):
        return JSONResponse({"error": {"code": "missing", "message": message}}, status, allowed)
    return PlainTextResponse(f"{message}\n", status, allowed)


class _Pages:
    """Renders pages; what they show comes from the API."""

    def __init__(self, settings: Settings) -> None:
        self._environment = Environment(
            loader=PackageLoader("lastack.web"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._names = settings.names

    def view(self, page: Page) -> Any:
        """Return what answers requests to a page."""
        template = self._environment.get_template(f"{page.name}.html.j2")

        def show(request: Request) -> Response:
            text = template.render(
                page=page,
                pages=[one for one in PAGES if one.listed],
                names=self._names,
                version=__version__,
                api=PREFIX,
                session_id=str(request.path_params.get("id", "")),
                classes={"ending": ENDING_CLASSES, "opening": OPENING_CLASSES},
                keys={one.key: one.path for one in PAGES if one.key},
            )
            return HTMLResponse(text, headers={"Cache-Control": "no-cache"})

        return show
