"""Tells people that a rule began or ceased to fire: a log of JSON lines, a webhook, a program. Nothing here waits."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lastack.app.alerts import Alert, AlertState

_AT_ONCE = 16
_PATIENCE_S = 10.0


class Sender:
    """Sends alerts.

    Args:
        warn: Gets a line for people.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self._warn = warn
        self._programs: list[subprocess.Popen[bytes]] = []
        self._posts = threading.BoundedSemaphore(_AT_ONCE)

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
            self._post(rule, row)
        if rule.command:
            self._execute(rule, row)

    def _post(self, rule: Alert, row: dict[str, Any]) -> None:
        if not self._posts.acquire(blocking=False):
            self._warn(f"alert {rule.name}: {_AT_ONCE} webhooks still wait; this one is left out")
            return

        def post() -> None:
            request = urllib.request.Request(
                rule.webhook, json.dumps(row).encode(), {"Content-Type": "application/json"}, method="POST"
            )
            try:
                with urllib.request.urlopen(request, timeout=_PATIENCE_S):
                    pass
            except (OSError, ValueError) as error:
                self._warn(f"alert {rule.name}: webhook: {error}")
            finally:
                self._posts.release()

        threading.Thread(target=post, daemon=True).start()

    def _execute(self, rule: Alert, row: dict[str, Any]) -> None:
        self._programs = [program for program in self._programs if program.poll() is None]
        if len(self._programs) >= _AT_ONCE:
            self._warn(f"alert {rule.name}: {_AT_ONCE} programs still run; this one is left out")
            return
        more = {f"LASTACK_{key.upper()}": str(value) for key, value in row.items() if value is not None}
        try:
            self._programs.append(
                subprocess.Popen(
                    list(rule.command), env={**os.environ, **more}, stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                )
            )  # fmt: skip
        except OSError as error:
            self._warn(f"alert {rule.name}: {rule.command[0]}: {error.strerror}")


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
