"""Tells people that a rule began or ceased to fire: a log of JSON lines, a webhook, a program.

The watch waits for none of them, and goes on whatever becomes of them: each works in a thread of its own, so many at a
time, and what fails is said.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lastack.app.alerts import Alert, AlertState

_AT_ONCE = 16
_PATIENCE_S = 10.0
_PROGRAM_S = 60.0
_AGAIN_S = (2.0, 10.0)


class Sender:
    """Sends alerts.

    Args:
        warn: Gets a line for people.
        again_s: Waits before a webhook that failed is tried again.
        program_s: How long a program may run.
    """

    def __init__(
        self,
        warn: Callable[[str], None],
        again_s: tuple[float, ...] = _AGAIN_S,
        program_s: float = _PROGRAM_S,
    ) -> None:
        self._warn = warn
        self._again_s = again_s
        self._program_s = program_s
        self._free = threading.BoundedSemaphore(_AT_ONCE)
        self._threads: list[threading.Thread] = []

    def send(self, rule: Alert, state: AlertState) -> None:
        """Tell of a change everywhere that the rule names; what fails is said and forgotten."""
        row = alert_row(rule, state)
        word = "firing" if state.firing else "over"
        self._warn(
            f"alert {word}: {rule.name}: {rule.metric} = {state.value:.6g} ({state.sessions:,} sessions)"
        )
        if rule.log:
            try:
                with Path(rule.log).open("a", encoding="utf-8") as stream:
                    stream.write(json.dumps(row, ensure_ascii=False) + "\n")
            except OSError as error:
                self._warn(f"alert {rule.name}: {rule.log}: {error.strerror}")
        if rule.webhook:
            self._beside(rule, "webhooks", lambda: self._post(rule, row))
        if rule.command:
            self._beside(rule, "programs", lambda: self._execute(rule, row))

    def finish(self, seconds: float) -> None:
        """Wait for what is under way, for some seconds in all."""
        until = time.monotonic() + seconds
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _beside(self, rule: Alert, what: str, work: Callable[[], None]) -> None:
        if not self._free.acquire(blocking=False):
            self._warn(f"alert {rule.name}: {_AT_ONCE} {what} still run; this one is left out")
            return

        def run() -> None:
            try:
                work()
            finally:
                self._free.release()

        self._threads = [thread for thread in self._threads if thread.is_alive()]
        self._threads.append(threading.Thread(target=run, name="alert", daemon=True))
        self._threads[-1].start()

    def _post(self, rule: Alert, row: dict[str, Any]) -> None:
        request = urllib.request.Request(
            rule.webhook, json.dumps(row).encode(), {"Content-Type": "application/json"}, method="POST"
        )
        for wait_s in (*self._again_s, None):
            try:
                with urllib.request.urlopen(request, timeout=_PATIENCE_S):
                    return
            except (OSError, ValueError, http.client.HTTPException) as error:
                refused = isinstance(error, urllib.error.HTTPError) and error.code < 500
                if isinstance(error, urllib.error.HTTPError):
                    error.close()
                if refused or wait_s is None:  # what a receiver refuses it refuses again
                    self._warn(f"alert {rule.name}: webhook: {error or type(error).__name__}")
                    return
            time.sleep(wait_s)

    def _execute(self, rule: Alert, row: dict[str, Any]) -> None:
        more = {f"LASTACK_{key.upper()}": str(value) for key, value in row.items() if value is not None}
        try:
            program = subprocess.Popen(
                list(rule.command), env={**os.environ, **more}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
            )  # fmt: skip
        except OSError as error:
            self._warn(f"alert {rule.name}: {rule.command[0]}: {error.strerror}")
            return
        try:
            if code := program.wait(self._program_s):
                self._warn(f"alert {rule.name}: {rule.command[0]}: exit code {code}")
        except subprocess.TimeoutExpired:
            with contextlib.suppress(OSError):
                program.kill()
            program.wait()
            self._warn(f"alert {rule.name}: {rule.command[0]}: killed after {self._program_s:g} s")


def alert_row(rule: Alert, state: AlertState) -> dict[str, Any]:
    """Return a change as JSON values."""
    return {
        "alert": rule.name,
        "state": "firing" if state.firing else "over",
        "metric": rule.metric,
        "value": state.value,
        "threshold": rule.threshold,
        "clear": rule.clear,
        "sessions": state.sessions,
        "window_s": rule.window_ns / 1e9,
        "time_ns": state.since_ns,
    }
