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
from lastack.app.nat import NatWords, make_nat
from lastack.emulator.af_packet import Bridge
from lastack.emulator.clock import BoxClock
from lastack.emulator.control import Control
from lastack.emulator.engine import ETHERNET, RAW_IP, Engine, entries_by_phase, expiry_reason, session_rows
from lastack.emulator.loop import Loop
from lastack.emulator.nat import Nat
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
        tun: Route packets through TUN devices instead of passing frames.
        nat: Translate what leaves (with `tun`); None for no NAT.
    """

    inside: str
    outside: str
    speed: float = 1.0
    guarded: bool = True
    log: IO[str] | None = None
    control: str = ""
    every_s: float = 1.0
    tun: bool = False
    nat: NatWords | None = None


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
        self.box, self.profile, self.policy = make_box(words)
        link = RAW_IP if options.tun else ETHERNET
        self.engine = Engine(
            self.box, link, guarded=options.guarded, logged=self._log if options.log else None
        )
        self.clock = BoxClock(options.speed)
        self.engine.machine.begin(self.clock.now())
        self.nat: Nat | None = None
        self.bridge = self._driver()
        self._control: Control | None = None
        self._started = time.monotonic()

    def remarks(self) -> list[str]:
        """Return in what the box differs from the product that it imitates, a line each."""
        beyond = {
            f"{override.application.name}.{name}"
            for override in self.policy.overrides
            for name in override.timers
            if name in self.profile.timers and "app" not in self.profile.timers[name].scopes
        }
        title = self.profile.title
        return [
            f"{name}: {title} has no such override; this box does it all the same" for name in sorted(beyond)
        ]

    def _driver(self) -> Loop:
        options = self.options
        ends = options.inside, options.outside
        if not options.tun:
            return Bridge(self.engine, *ends, self.clock)
        # a transparent box on Linux is usual, a routed one less so: its modules only when asked for
        from lastack.emulator.tun import TunBox

        self.nat = make_nat(options.nat, options.outside) if options.nat else None
        return TunBox(self.engine, *ends, self.clock, self.nat)

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
                    "mappings": self._mappings,
                    "clear": self._clear,
                    "reload": self._reload,
                    "stop": lambda request: self.bridge.stop(),
                },
            )
        signal.signal(signal.SIGTERM, lambda *_: self.bridge.stop())
        signal.signal(signal.SIGHUP, lambda *_: self.bridge.soon(self._hang_up))

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

    def _mappings(self, request: dict[str, Any]) -> list[dict[str, Any]]:
        if self.nat is None:
            raise UsageError("this box translates no addresses; start it with --tun --nat outside")
        from itertools import islice

        from lastack.emulator.nat import mapping_rows

        return list(islice(mapping_rows(self.nat), int(request.get("limit", 1000))))

    def _clear(self, request: dict[str, Any]) -> int:
        cleared = self.engine.machine.clear()
        self.engine.advance(self.clock.now())
        self.bridge.flush()
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
            counts=asdict(self.engine.counts) | {"lost": self.bridge.lost()} | self._nat_counts(),
            ended=dict(self.engine.ended),
        )

    def _nat_counts(self) -> dict[str, int]:
        return {**asdict(self.nat.counts), "mappings": self.nat.mappings} if self.nat else {}


def warm_up(box: Box) -> None:
    """Compile what the first frame needs, so that it does not wait for it."""
    engine = Engine(box)
    space = np.zeros(64, np.uint8)
    engine.offer(memoryview(space.tobytes()), int(space.ctypes.data), True, 1)
    engine.advance(2)
    engine.next_deadline()
