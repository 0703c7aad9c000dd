"""Runs an emulated box: engine, driver, control socket, event log, live view, reload."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import IO, Any

import numpy as np

from lastack.app.boxes import BoxWords, make_box
from lastack.emulator.af_packet import Bridge
from lastack.emulator.clock import BoxClock
from lastack.emulator.control import Control
from lastack.emulator.engine import Engine, entries_by_phase, expiry_reason, session_rows
from lastack.emulator.status import Status, status_json
from lastack.firewall.table import Box
from lastack.model.errors import LastackError, UsageError

ACTIONS = ("forwarded", "dropped", "reset")


@dataclass(frozen=True, slots=True)
class EmulateOptions:
    """How a box runs.

    Attributes:
        inside: Interface towards the side that opens sessions.
        outside: The other interface.
        speed: How much faster than real time its clock runs.
        guarded: Whether only the inside may begin sessions where the profile says so.
        log: Where events go, None for nowhere.
        control: Path of the control socket, empty for none.
        every_s: How often the status is told, in seconds.
    """

    inside: str
    outside: str
    speed: float = 1.0
    guarded: bool = True
    log: IO[str] | None = None
    control: str = ""
    every_s: float = 1.0


class EmulateRun:
    """A box at work between two interfaces.

    Args:
        words: What box.
        options: How it runs.
        warn: Gets a line for people.

    Raises:
        UsageError: The box or an interface does not exist.
        AccessError: CAP_NET_RAW is missing.
        InputError: A file cannot be read.
    """

    def __init__(self, words: BoxWords, options: EmulateOptions, warn: Callable[[str], None]) -> None:
        self.options = options
        self._words = words
        self._warn = warn
        self.box, self.profile, _ = make_box(words)
        self.engine = Engine(self.box, guarded=options.guarded, logged=self._log if options.log else None)
        self.clock = BoxClock(options.speed)
        self.engine.machine.begin(self.clock.now())
        self.bridge = Bridge(self.engine, options.inside, options.outside, self.clock)
        self._control: Control | None = None
        self._started = time.monotonic()

    def _log(self, event: dict[str, Any]) -> None:
        assert self.options.log is not None
        self.options.log.write(json.dumps(event) + "\n")

    def run(self, told: Callable[[Status], None] | None = None) -> None:
        """Pass frames until SIGTERM, Ctrl-C or the control socket ends it."""
        if self.options.control:
            self._control = Control(
                self.options.control,
                self.bridge,
                {
                    "stats": lambda request: status_json(self.status()),
                    "sessions": lambda request: session_rows(
                        self.engine.machine, self.box, self.clock.now(), limit=int(request.get("limit", 1000))
                    ),
                    "clear": self._clear,
                    "reload": self._reload,
                    "stop": lambda request: self.bridge.stop(),
                },
            )
        signal.signal(signal.SIGTERM, lambda *_: self.bridge.stop())
        signal.signal(signal.SIGHUP, lambda *_: self._hang_up())

        def tell() -> None:
            if self.options.log:
                self.options.log.flush()
            if told is not None:
                told(self.status())

        try:
            self.bridge.run(self.options.every_s, tell)
        except KeyboardInterrupt:
            pass
        finally:
            self.close()

    def close(self) -> None:
        """Leave the interfaces; write what the log still owes."""
        if self._control is not None:
            self._control.close()
            self._control = None
        self.bridge.close()
        if self.options.log:
            self.options.log.flush()

    def _clear(self, request: dict[str, Any]) -> int:
        cleared = self.engine.machine.clear()
        self.engine.advance(self.clock.now())
        return cleared

    def _reload(self, request: dict[str, Any]) -> str:
        box, _, _ = make_box(self._words)
        try:
            self.engine.replace(box)
        except ValueError as error:
            raise UsageError(str(error)) from error
        self.box = box
        return f"{box.name or 'box'} reloaded, {self.engine.machine.live:,} sessions kept"

    def _hang_up(self) -> None:
        try:
            self._warn(self._reload({}))
        except LastackError as error:
            self._warn(f"not reloaded: {error}")

    def status(self) -> Status:
        """Return what the box holds and what went through it."""
        machine = self.engine.machine
        packets = {
            (ACTIONS[action] if action < len(ACTIONS) else str(action), expiry_reason(reason)): n
            for (action, reason), n in machine.counts().items()
        }
        return Status(
            seconds=time.monotonic() - self._started,
            live=machine.live,
            phases=entries_by_phase(machine, self.box),
            packets=packets,
            counts=asdict(self.engine.counts),
            ended=dict(self.engine.ended),
        )


def warm_up(box: Box) -> None:
    """Compile what the first frame needs, so that it does not wait for it."""
    engine = Engine(box)
    space = np.zeros(64, np.uint8)
    engine.offer(memoryview(space.tobytes()), int(space.ctypes.data), True, 1)
    engine.advance(2)
    engine.next_deadline()
