"""The monitor's HTTP endpoint: `/metrics`, `/targets`, and `/probe` as blackbox_exporter has it."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from lastack.app.monitor_config import Module, MonitorConfig
from lastack.app.monitor_metrics import MonitorMetrics
from lastack.model.errors import UsageError
from lastack.prober.address import look_up, split_target
from lastack.prober.asker import best_asker
from lastack.prober.loop import Loop
from lastack.prober.outcome import Opening, Result
from lastack.prober.talk import TalkAsker

#: Prometheus tells how long it will wait; leave some of it for the way back.
_SCRAPE_MARGIN_S = 0.5
_AT_ONCE = threading.BoundedSemaphore(32)


def make_app(
    config: MonitorConfig, metrics: MonitorMetrics, targets: Callable[[], list[dict[str, Any]]]
) -> Starlette:
    """Return the application.

    Args:
        config: Modules, and what `/probe` may ask.
        metrics: What `/metrics` shows.
        targets: Gives the rows of `/targets`.
    """

    def show_metrics(request: Request) -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    def show_targets(request: Request) -> Response:
        return JSONResponse(targets())

    def probe(request: Request) -> Response:
        query = request.query_params
        name = query.get("module", "tcp_connect")
        module = config.modules.get(name)
        if module is None:
            return PlainTextResponse(f'Unknown module "{name}"\n', 400)
        if not query.get("target"):
            return PlainTextResponse("Target parameter is missing\n", 400)
        try:
            host, port = split_target(query["target"])
            timeout_ns = _timeout(request, module)
        except UsageError as error:
            return PlainTextResponse(f"{error}\n", 400)
        if not _AT_ONCE.acquire(blocking=False):
            return PlainTextResponse("too many probes at once\n", 503)
        try:
            started = time.monotonic()
            address = look_up(host)
            looked_up = time.monotonic() - started
            if address and not allowed(config, host, address, port):
                return PlainTextResponse("the target is not allowed; see monitor.allow\n", 403)
            result = (
                ask_once(module, address, port, timeout_ns, config)
                if address
                else Result(Opening.error, attempts=0, detail=f"{host} has no address")
            )
            body = _exposition(result, address, time.monotonic() - started, looked_up)
        finally:
            _AT_ONCE.release()
        if query.get("debug") == "true":
            text = (
                f"{host} port {port} ({address}) by {module.name}: {result.opening.value} {result.detail}\n\n"
            )
            return PlainTextResponse(text + body.decode())
        return Response(body, media_type=CONTENT_TYPE_LATEST)

    def front(request: Request) -> Response:
        return PlainTextResponse("lastack monitor: /metrics /targets /probe?target=HOST:PORT&module=syn\n")

    routes = [
        Route("/", front),
        Route("/metrics", show_metrics),
        Route("/targets", show_targets),
        Route("/probe", probe),
        Route("/-/healthy", lambda request: PlainTextResponse("ok\n")),
    ]
    return Starlette(routes=routes)


def _timeout(request: Request, module: Module) -> int:
    given = request.headers.get("X-Prometheus-Scrape-Timeout-Seconds")
    if given is None:
        return module.timeout_ns
    try:
        seconds = float(given)
    except ValueError as error:
        raise UsageError(f"no number of seconds: {given!r}") from error
    if seconds == 0:
        return module.timeout_ns
    if not 0 < seconds < 3600:
        raise UsageError(f"no sensible timeout: {given!r}")
    return min(module.timeout_ns, round(max(seconds - _SCRAPE_MARGIN_S, seconds / 2) * 1e9))


def allowed(config: MonitorConfig, host: str, address: str, port: int) -> bool:
    """Return whether `/probe` may ask a target: one of the configuration, or one in the allowed networks."""
    if any(target.port == port and target.host in (host, address) for target in config.targets):
        return True
    here = ipaddress.ip_address(address)
    return any(here in ipaddress.ip_network(network, strict=False) for network in config.allow)


def ask_once(module: Module, address: str, port: int, timeout_ns: int, config: MonitorConfig) -> Result:
    """Ask one target now and return its answer; takes up to the timeout."""
    loop = Loop()
    try:
        if module.kind == "talk":
            asker: Any = TalkAsker(loop, module.script, config.source4, config.source6)
        else:
            method = "auto" if module.kind == "syn" else "connect"
            asker, _ = best_asker(loop, method, config.source4, config.source6)
        results: list[Result] = []

        def done(result: Result) -> None:
            results.append(result)
            loop.stop()

        asker.ask(address, port, timeout_ns, done)
        if not results:
            loop.run()
        asker.close()
        return results[0]
    finally:
        loop.close()


def _hash(address: str) -> int:
    """Return the FNV-1a hash (32 bits) of an address's bytes, as blackbox_exporter makes it; 0 without one."""
    if not address:
        return 0
    found = 2166136261
    for byte in ipaddress.ip_address(address).packed:
        found = (found ^ byte) * 16777619 & 0xFFFFFFFF
    return found


def _exposition(result: Result, address: str, seconds: float, looked_up: float) -> bytes:
    """Return the metrics of one probe, with blackbox_exporter's names and a few of our own."""
    registry = CollectorRegistry()

    def gauge(name: str, text: str, value: float, labels: Sequence[tuple[str, str]] = ()) -> None:
        made = Gauge(name, text, [key for key, _ in labels], registry=registry)
        (made.labels(*[value for _, value in labels]) if labels else made).set(value)

    gauge("probe_success", "1 if the probe was a success.", 1 if result.up else 0)
    gauge("probe_duration_seconds", "How long the probe took.", seconds)
    gauge("probe_dns_lookup_time_seconds", "Time of the lookup of the name.", looked_up)
    gauge("probe_ip_protocol", "IP version.", 6 if ":" in address else 4)
    gauge("probe_ip_addr_hash", "Hash of the address: tells when it changes.", _hash(address))
    gauge("probe_failed_due_to_regex", "1 if the answer did not match.", int(result.mismatched))
    gauge("lastack_probe_result", "1 for the result.", 1, [("result", result.opening.value)])
    if result.rtt_ns is not None:
        gauge("lastack_probe_handshake_seconds", "Time from SYN to answer.", result.rtt_ns / 1e9)
    if result.icmp_type is not None:
        gauge("lastack_probe_icmp_type", "Type of the ICMP error.", result.icmp_type)
        gauge("lastack_probe_icmp_code", "Code of the ICMP error.", result.icmp_code or 0)
    return generate_latest(registry)
