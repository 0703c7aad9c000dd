"""Runs a monitor: targets asked in a loop, changes told, metrics served."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from lastack.app.monitor_config import MonitorConfig
from lastack.app.monitor_http import make_app
from lastack.app.monitor_metrics import MonitorMetrics
from lastack.prober.address import look_up, split_target
from lastack.prober.asker import Asker, ConnectAsker, best_asker
from lastack.prober.health import Change, Health
from lastack.prober.listening import listen
from lastack.prober.loop import Loop, allow_descriptors
from lastack.prober.monitor import Monitor, Watched
from lastack.prober.outcome import Result
from lastack.prober.talk import TalkAsker

_HOOKS_AT_ONCE = 16
_LOOKUPS_AT_ONCE = 8
_PATIENCE_S = 5.0

Told = Callable[[str], None]


class MonitorRun:
    """A monitor at work.

    Args:
        config: What it is told.
        say: Gets a line of JSON for each change of state (standard output).
        warn: Gets a line for people (standard error).
    """

    def __init__(self, config: MonitorConfig, say: Told, warn: Told) -> None:
        self.config = config
        self.metrics = MonitorMetrics()
        self._say = say
        self._warn = warn
        self._loop = Loop()
        self._hooks: list[subprocess.Popen[bytes]] = []
        allow_descriptors(4096)
        self._asking = self._askers()
        self._names = ThreadPoolExecutor(_LOOKUPS_AT_ONCE, "names")
        self._monitor = Monitor(self._loop, config.targets, self._asking, self._seen, self._resolve)
        self.port = 0

    def _askers(self) -> dict[str, Asker]:
        used = {target.module for target in self.config.targets}
        source = (self.config.source4, self.config.source6)
        askers: dict[str, Asker] = {}
        half_open: Asker | None = None
        for name in used:
            module = self.config.modules[name]
            if module.kind == "talk":
                askers[name] = TalkAsker(self._loop, module.script, *source)
            elif module.kind == "connect":
                askers[name] = ConnectAsker(self._loop, *source)
            else:
                if half_open is None:
                    half_open, why = best_asker(self._loop, "auto", *source)
                    if why:
                        self._warn(f"{why}. Until then whole handshakes: applications may see a connection")
                askers[name] = half_open
        return askers

    def _resolve(self, host: str, version: int, found: Callable[[str], None]) -> None:
        """Look a name up in another thread: a name server that does not answer must not hold up the other targets."""
        if _is_address(host):
            found(host)
            return

        def told(lookup: Future[str]) -> None:
            self._loop.call(lambda: found(lookup.result()))

        self._names.submit(look_up, host, version).add_done_callback(told)

    def _seen(self, target: Watched, result: Result, change: Change | None) -> None:
        self.metrics.count(target, result, change, time.time())
        if change is None:
            return
        row = change_row(target, change)
        self._say(json.dumps(row))
        if self.config.on_change:
            self._hook(row)

    def _hook(self, row: dict[str, Any]) -> None:
        self._hooks = [hook for hook in self._hooks if hook.poll() is None]
        if len(self._hooks) >= _HOOKS_AT_ONCE:
            self._warn(f"on_change: {_HOOKS_AT_ONCE} still run; left out for {row['target']}")
            return
        environment = {
            f"LASTACK_{key.upper()}": str(value) for key, value in row.items() if value is not None
        }
        try:
            self._hooks.append(
                subprocess.Popen(
                    list(self.config.on_change),
                    env={**os.environ, **environment},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                )
            )
        except OSError as error:
            self._warn(f"on_change: {self.config.on_change[0]}: {error.strerror}")

    def rows(self) -> list[dict[str, Any]]:
        """Return the present state of every target."""
        now = self._loop.now()
        return [target_row(target, self._monitor.health[target.name], now) for target in self.config.targets]

    def run(self) -> None:
        """Ask until SIGTERM or Ctrl-C."""
        stop_serving = self._serve() if self.config.listen else None
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, lambda *_: self._loop.stop())
        try:
            with contextlib.suppress(KeyboardInterrupt):
                self._loop.run()
        finally:
            if stop_serving is not None:
                stop_serving()
            self._names.shutdown(wait=True, cancel_futures=True)
            for asker in self._asking.values():
                asker.close()
            self._loop.close()

    def stop(self) -> None:
        """Make `run` return."""
        self._loop.stop()

    def _serve(self) -> Callable[[], None]:
        """Begin to serve; return what ends it."""
        import uvicorn

        host, port = split_target(self.config.listen)
        listener = listen(host, port)
        self.port = listener.getsockname()[1]
        app = make_app(self.config, self.metrics, self.rows)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False, lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        self._warn(f"metrics on http://{self.config.listen}/metrics")

        def stop() -> None:
            server.should_exit = True
            thread.join(_PATIENCE_S)
            listener.close()

        return stop


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def change_row(target: Watched, change: Change) -> dict[str, Any]:
    """Return a change of state as JSON values."""
    result = change.result
    return {
        "time_ns": time.time_ns(),
        "target": target.name,
        "group": target.group,
        "host": target.host,
        "port": target.port,
        "module": target.module,
        "before": change.before.value,
        "after": change.after.value,
        "lasted_s": round(change.lasted_ns / 1e9, 3),
        "result": result.opening.value,
        "rtt_ns": result.rtt_ns,
        "icmp_type": result.icmp_type,
        "icmp_code": result.icmp_code,
        "reporter": result.reporter,
        "detail": result.detail,
    }


def target_row(target: Watched, health: Health, now_ns: int) -> dict[str, Any]:
    """Return the present state of a target as JSON values."""
    last = health.last
    return {
        "target": target.name,
        "group": target.group,
        "host": target.host,
        "port": target.port,
        "module": target.module,
        "state": health.state.value,
        "for_s": round((now_ns - health.since_ns) / 1e9, 3),
        "result": last.opening.value if last else None,
        "rtt_ns": last.rtt_ns if last else None,
        "detail": last.detail if last else "",
        "results": {opening.value: n for opening, n in health.results.items()},
    }
