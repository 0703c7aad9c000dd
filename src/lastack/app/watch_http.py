"""The HTTP endpoint of a watch: `/metrics` for Prometheus, `/status` and `/alerts` as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from lastack.app.watch import Watch, WatchState


def make_app(watch: Watch) -> Starlette:
    """Return the application that shows a watch."""

    def show_metrics(request: Request) -> Response:
        return Response(generate_latest(watch.metrics.registry), media_type=CONTENT_TYPE_LATEST)

    def show_status(request: Request) -> Response:
        return JSONResponse(status_row(watch.state))

    def show_alerts(request: Request) -> Response:
        return JSONResponse(watch.alert_rows())

    def front(request: Request) -> Response:
        return PlainTextResponse("lastack watch: /metrics /status /alerts\n")

    routes = [
        Route("/", front),
        Route("/metrics", show_metrics),
        Route("/status", show_status),
        Route("/alerts", show_alerts),
        Route("/-/healthy", lambda request: PlainTextResponse("ok\n")),
    ]
    return Starlette(routes=routes)


def status_row(state: WatchState) -> dict[str, Any]:
    """Return how a watch stands as JSON values."""
    standing = state.standing
    names = (
        "name", "seconds", "packets", "drops", "opened", "evicted", "rows", "held", "lost", "trouble", "up",
        "endings", "causes", "segments", "size",
    )  # fmt: skip
    row: dict[str, Any] = {name: getattr(state, name) for name in names}
    row["standing"] = {
        name: getattr(standing, name) for name in ("established", "half_open", "half_closed", "closed")
    }
    return row


def screen_row(state: WatchState) -> dict[str, Any]:
    """Return what a screen shows beyond that: it has addresses, which are not served."""
    return {"oldest_s": state.oldest_s, "firing": state.firing, "servers": state.servers}
