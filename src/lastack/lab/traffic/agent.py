"""The far end: serves flows to those who ask, within limits, and tells them what it saw."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from lastack.lab.netns import LabError
from lastack.lab.traffic import control as wire
from lastack.lab.traffic.control import Control, OpenSocket
from lastack.lab.traffic.door import Door
from lastack.lab.traffic.endpoint import Endpoint
from lastack.lab.traffic.plan import FlowPlan
from lastack.lab.traffic.steps import Steps
from lastack.model.errors import AccessError, UsageError

DEFAULT_PORT = 5252


@dataclass(frozen=True, slots=True)
class Limits:
    """What a serving end lends to strangers.

    Attributes:
        sessions: Tests at a time.
        flows: Flows of one test.
        open_flows: Flows open at a time, of all tests together.
        flow_bytes: Payload of one flow, both directions together.
        session_s: Seconds that a test may last.
    """

    sessions: int = 8
    flows: int = 10_000
    open_flows: int = 4_000
    flow_bytes: int = 1 << 40
    session_s: float = 3600.0


@dataclass(eq=False)
class _Session:
    control: Control
    identity: bytes
    plans: dict[int, FlowPlan] = field(default_factory=dict)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    begun: set[int] = field(default_factory=set)
    stall_ns: int = 5_000_000_000


class Agent:
    """The serving program.

    Args:
        token: Secret that a runner must know; empty for none.
        limits: What it lends.
        open_socket: Makes its sockets, by address family.
        tell: Called with a line for people when a test begins or ends.
    """

    def __init__(
        self,
        *,
        token: str = "",
        limits: Limits | None = None,
        open_socket: OpenSocket = wire.tcp_socket,
        tell: Callable[[str], None] = lambda _line: None,
    ) -> None:
        self._token, self._limits, self._open_socket, self._tell = (
            token,
            limits or Limits(),
            open_socket,
            tell,
        )
        self._sessions: dict[bytes, _Session] = {}
        self._open_flows = 0
        self._port = 0
        self._door = Door(self._flow_arrived, self._control_arrived)

    async def listen(self, address: str = "", port: int = DEFAULT_PORT) -> int:
        """Serve whoever connects from now on, and return the port.

        Args:
            address: Address to listen at, all of this host when empty.
            port: Port, 0 for any.

        Raises:
            LabError: The port is taken.
        """
        self._port = self._door.open(address, port, self._open_socket)
        return self._port

    async def dial_out(self, address: str, port: int, timeout_s: float = 10.0) -> None:
        """Connect to a runner that waits, serve one test, and return: for an end that cannot be reached from outside.

        Raises:
            OSError: The runner cannot be reached.
            LabError: It is no runner, or has gone.
        """
        sock = await wire.dial(address, port, self._open_socket, timeout_s)
        await asyncio.get_running_loop().sock_sendall(sock, wire.control_preamble())
        control = await wire.streams(sock)
        try:
            await self._serve(control)
        finally:
            await control.close()

    async def close(self) -> None:
        """End all tests and stop listening."""
        await self._door.close()
        for session in list(self._sessions.values()):
            await self._end(session)

    async def _control_arrived(self, sock: socket.socket) -> None:
        control = await wire.streams(sock)
        try:
            await self._serve(control)
        except (LabError, AccessError, OSError) as error:
            self._tell(str(error))
        finally:
            await control.close()

    async def _serve(self, control: Control) -> None:
        await wire.admit(control, self._token)
        if len(self._sessions) >= self._limits.sessions:
            await control.tell("refused", why=f"{self._limits.sessions} tests run already")
            raise LabError(f"{control.peer}: one test too many")
        session = _Session(control, os.urandom(16))
        self._sessions[session.identity] = session
        self._tell(f"{control.peer}: a test begins")
        try:
            limits = asdict(self._limits)
            await control.tell("ready", session=session.identity.hex(), port=self._port, limits=limits)
            async with asyncio.timeout(self._limits.session_s):
                while await self._answer(session, await control.hear()):
                    pass
        except TimeoutError:
            with contextlib.suppress(OSError):
                await control.tell("refused", why=f"a test may last {self._limits.session_s:g} s")
            raise LabError(f"{control.peer}: its time is over") from None
        finally:
            await self._end(session)
            self._tell(f"{control.peer}: the test has ended, {len(session.plans)} flows")

    async def _answer(self, session: _Session, message: dict[str, Any]) -> bool:
        """Do what the runner says; return whether it may say more."""
        kind = message["type"]
        if kind == "clock":
            await session.control.tell("clock", now_ns=time.monotonic_ns())
        elif kind == "plan":
            try:
                self._take_plans(session, message)
            except UsageError as error:
                await session.control.tell("refused", why=str(error))
                return False
            await session.control.tell("planned", flows=len(session.plans))
        elif kind == "open":
            flow, port = message.get("flow"), message.get("port")
            if (
                isinstance(flow, int)
                and isinstance(port, int)
                and 0 < port < 65_536
                and self._may_begin(session, flow)
            ):
                self._start(session, flow, self._open_flow(session, flow, port))
        elif kind == "bye":
            return False
        return True

    def _take_plans(self, session: _Session, message: dict[str, Any]) -> None:
        flows, first = message.get("flows"), message.get("first")
        stall_ns = message.get("stall_ns")
        if not isinstance(flows, list) or not isinstance(first, int) or not isinstance(stall_ns, int):
            raise UsageError("not a plan")
        if not 0 <= first <= first + len(flows) <= 1 << 32:
            raise UsageError(f"flows are numbered from 0 to {(1 << 32) - 1:,}")
        session.stall_ns = min(max(stall_ns, 100_000_000), 3_600_000_000_000)
        for number, told in enumerate(flows, first):
            plan = FlowPlan.from_json(told)
            if plan.up_bytes + plan.down_bytes > self._limits.flow_bytes:
                raise UsageError(f"a flow may carry {self._limits.flow_bytes:,} bytes here")
            session.plans[number] = plan
        if len(session.plans) > self._limits.flows:
            raise UsageError(f"a test may have {self._limits.flows:,} flows here")

    def _flow_arrived(self, sock: socket.socket, identity: bytes, flow: int) -> None:
        session = self._sessions.get(identity)
        if session is None or not self._may_begin(session, flow):
            sock.close()
            return
        now_ns = time.monotonic_ns()
        self._start(session, flow, self._live(session, flow, sock, Steps(begun_ns=now_ns, opened_ns=now_ns)))

    def _may_begin(self, session: _Session, flow: int) -> bool:
        known = flow in session.plans and flow not in session.begun
        return known and self._open_flows < self._limits.open_flows

    async def _open_flow(self, session: _Session, flow: int, port: int) -> None:
        # only ever to where the runner itself is: a server must not be sent to attack others
        steps = Steps(begun_ns=time.monotonic_ns())
        try:
            sock = await wire.dial(session.control.peer, port, self._open_socket, session.stall_ns / 1e9)
        except TimeoutError:
            steps.outcome = "unanswered"
        except OSError as error:
            steps.outcome, steps.detail = "refused", wire.reason(error)
        else:
            steps.opened_ns = time.monotonic_ns()
            await asyncio.get_running_loop().sock_sendall(sock, wire.data_preamble(session.identity, flow))
            await self._live(session, flow, sock, steps)
            return
        await session.control.tell("report", flow=flow, steps=steps.to_json())

    async def _live(self, session: _Session, flow: int, sock: socket.socket, steps: Steps) -> None:
        endpoint = Endpoint(sock, session.plans[flow], near=False, steps=steps, stall_ns=session.stall_ns)
        await endpoint.live()
        await session.control.tell("report", flow=flow, steps=steps.to_json())

    def _start(self, session: _Session, flow: int, work: Any) -> None:
        self._open_flows += 1
        session.begun.add(flow)
        task = asyncio.get_running_loop().create_task(work, name=f"flow {flow}")
        session.tasks.add(task)

        def ended(task: asyncio.Task[None]) -> None:
            self._open_flows -= 1
            session.tasks.discard(task)
            if not task.cancelled():
                task.exception()  # the control connection may be gone: there is nobody to tell

        task.add_done_callback(ended)

    async def _end(self, session: _Session) -> None:
        self._sessions.pop(session.identity, None)
        for task in list(session.tasks):
            task.cancel()
        await asyncio.gather(*session.tasks, return_exceptions=True)
