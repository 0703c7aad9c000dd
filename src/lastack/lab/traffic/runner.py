"""The near end: opens the flows (or has them opened), lives its side of each, and collects both accounts."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

from lastack.lab.netns import LabError
from lastack.lab.traffic import control as wire
from lastack.lab.traffic.control import Control, OpenSocket
from lastack.lab.traffic.door import Door, raise_file_limit
from lastack.lab.traffic.endpoint import Endpoint
from lastack.lab.traffic.plan import FlowPlan
from lastack.lab.traffic.report import FlowReport
from lastack.lab.traffic.steps import Steps
from lastack.model.errors import UsageError

_PLANS_A_LINE = 100
#: Beyond the time after which the far end must have noticed by itself.
_GRACE_S = 2.0
_ASK_AGAIN_S = 0.05


class Runner:
    """The program that runs a test.

    Args:
        plans: The flows.
        token: Secret that the far end asks for.
        stall_ns: A flow that makes no progress for this long (beyond its own pauses) has stopped.
        start_rate: Flows begun a second.
        parallel: Flows open at a time, 0 for no limit.
        data_port: Port on which we listen for flows that the far end opens, 0 for any.
        open_socket: Makes its sockets, by address family.
        progress: Called now and then with how many flows have ended, and the reports so far.

    Attributes:
        clock_error_ns: How wrong the far end's times may be; known after the run.
        notes: What went wrong beside the flows.
    """

    def __init__(
        self,
        plans: Sequence[FlowPlan],
        *,
        token: str = "",
        stall_ns: int = 5_000_000_000,
        start_rate: float = 200.0,
        parallel: int = 0,
        data_port: int = 0,
        open_socket: OpenSocket = wire.tcp_socket,
        progress: Callable[[int, Sequence[FlowReport]], None] = lambda _ended, _reports: None,
    ) -> None:
        self._token, self._stall_ns, self._start_rate = token, stall_ns, start_rate
        self._data_port, self._open_socket, self._progress = data_port, open_socket, progress
        self._parallel = asyncio.Semaphore(parallel or len(plans))
        self.reports = [FlowReport(number, plan) for number, plan in enumerate(plans, 1)]
        self.clock_error_ns = 0
        self.notes: list[str] = []
        self._control: Control
        self._session = b""
        self._ahead_ns = 0
        self._far_port = 0
        self._door: Door | None = None
        self._far_told: dict[int, asyncio.Future[None]] = {}
        self._arrivals: dict[int, asyncio.Future[socket.socket]] = {}

    async def run(self, address: str, port: int, timeout_s: float = 10.0) -> list[FlowReport]:
        """Connect to a serving far end, run all flows, and return their reports.

        Args:
            address: Its address or name.
            port: Its port.
            timeout_s: How long to try; a far end that is just starting is waited for.

        Raises:
            LabError: The far end cannot be reached, or does not serve.
            AccessError: It refuses us.
            UsageError: The flows cannot be opened as planned.
        """
        raise_file_limit()
        sock = await self._reach(address, port, timeout_s)
        await asyncio.get_running_loop().sock_sendall(sock, wire.control_preamble())
        self._far_port = port
        return await self._run(await wire.streams(sock))

    async def _reach(self, address: str, port: int, timeout_s: float) -> socket.socket:
        """Return a connection to the far end, which may be just starting: a refusal is asked again."""
        end_s = time.monotonic() + timeout_s
        while True:
            try:
                return await wire.dial(address, port, self._open_socket, end_s - time.monotonic())
            except ConnectionRefusedError as error:
                refusal: OSError = error
            except OSError as error:
                raise LabError(f"{address} port {port}: {wire.reason(error)}") from error
            if time.monotonic() + _ASK_AGAIN_S > end_s:
                raise LabError(
                    f"{address} port {port}: {wire.reason(refusal)}; start `lastack lab traffic serve` there"
                ) from refusal
            await asyncio.sleep(_ASK_AGAIN_S)

    async def run_when_called(
        self, address: str, port: int, on_open: Callable[[int], None], timeout_s: float | None = None
    ) -> list[FlowReport]:
        """Wait for a far end that dials out to us, run all flows with it, and return their reports.

        Args:
            address: Address to listen at, all when empty.
            port: Port to listen at, for the control connection and for flows; 0 for any.
            on_open: Called with the port once we listen.
            timeout_s: Seconds to wait for the far end.

        Raises:
            LabError: Nobody came, or the port is taken.
        """
        called: asyncio.Future[socket.socket] = asyncio.get_running_loop().create_future()

        async def on_control(sock: socket.socket) -> None:
            if called.done():
                sock.close()
            else:
                called.set_result(sock)

        self._door = Door(self._flow_arrived, on_control)
        self._data_port = self._door.open(address, port, self._open_socket)
        on_open(self._data_port)
        try:
            sock = await asyncio.wait_for(called, timeout_s)
        except TimeoutError as error:
            await self._door.close()
            raise LabError(f"nobody connected in {timeout_s:g} s") from error
        return await self._run(await wire.streams(sock))

    async def _run(self, control: Control) -> list[FlowReport]:
        self._control = control
        listening: asyncio.Task[None] | None = None
        try:
            await wire.present(control, self._token)
            ready = await control.expect("ready")
            self._read_ready(ready)
            self._open_doors()
            self._ahead_ns, self.clock_error_ns = await wire.clock_ahead_ns(control)
            await self._announce()
            loop = asyncio.get_running_loop()
            self._far_told = {report.flow: loop.create_future() for report in self.reports}
            listening = loop.create_task(self._hear_reports())
            await self._run_flows()
            with contextlib.suppress(OSError):
                await control.tell("bye")
        finally:
            if listening is not None:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
            if self._door is not None:
                await self._door.close()
            await control.close()
        return self.reports

    def _read_ready(self, ready: dict[str, Any]) -> None:
        session, port = ready.get("session"), ready.get("port")
        if not isinstance(session, str) or len(session) != 32 or not isinstance(port, int):
            raise LabError(f"{self._control.peer} does not speak this protocol: {ready!r}")
        try:
            self._session = bytes.fromhex(session)
        except ValueError as error:
            raise LabError(f"{self._control.peer} does not speak this protocol: {ready!r}") from error
        self._far_port = self._far_port or port

    def _open_doors(self) -> None:
        openers = {report.plan.opener for report in self.reports}
        if "near" in openers and not self._far_port:
            raise UsageError("the far end dialled out and cannot be reached: have the flows opened by far")
        if "far" in openers and self._door is None:
            self._door = Door(self._flow_arrived)
            self._data_port = self._door.open("", self._data_port, self._open_socket)

    async def _announce(self) -> None:
        for at in range(0, len(self.reports), _PLANS_A_LINE):
            part = self.reports[at : at + _PLANS_A_LINE]
            flows = [report.plan.to_json() for report in part]
            await self._control.tell("plan", first=part[0].flow, flows=flows, stall_ns=self._stall_ns)
            await self._control.expect("planned")

    async def _run_flows(self) -> None:
        tasks = []
        ended = 0

        async def one(report: FlowReport) -> None:
            nonlocal ended
            try:
                await self._live(report)
            finally:
                self._parallel.release()
                ended += 1
                self._progress(ended, self.reports)

        begun_s = time.monotonic()
        try:
            for number, report in enumerate(self.reports):
                await self._parallel.acquire()
                wait_s = begun_s + number / self._start_rate - time.monotonic()
                if wait_s > 0:
                    await asyncio.sleep(wait_s)
                tasks.append(asyncio.get_running_loop().create_task(one(report)))
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _live(self, report: FlowReport) -> None:
        report.near.begun_ns = time.monotonic_ns()
        sock = await self._open(report)
        if sock is not None:
            report.near_address = _text(sock.getsockname())
            report.far_address = _text(sock.getpeername())
            await Endpoint(sock, report.plan, near=True, steps=report.near, stall_ns=self._stall_ns).live()
        elif report.plan.opener == "near":
            return  # the far end never heard of it
        patience_s = (self._stall_ns + report.plan.longest_silence_ns()) / 1e9 + _GRACE_S
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._far_told[report.flow], patience_s)

    async def _open(self, report: FlowReport) -> socket.socket | None:
        steps, timeout_s = report.near, self._stall_ns / 1e9
        try:
            if report.plan.opener == "near":
                sock = await wire.dial(self._control.peer, self._far_port, self._open_socket, timeout_s)
                steps.opened_ns = time.monotonic_ns()
                preamble = wire.data_preamble(self._session, report.flow)
                await asyncio.get_running_loop().sock_sendall(sock, preamble)
                return sock
            arrival = self._arrivals[report.flow] = asyncio.get_running_loop().create_future()
            await self._control.tell("open", flow=report.flow, port=self._data_port)
            sock = await asyncio.wait_for(arrival, timeout_s)
            steps.opened_ns = time.monotonic_ns()
            return sock
        except TimeoutError:
            steps.outcome = "unanswered"
        except OSError as error:
            steps.outcome, steps.detail = "refused", wire.reason(error)
        return None

    def _flow_arrived(self, sock: socket.socket, session: bytes, flow: int) -> None:
        arrival = self._arrivals.get(flow)
        if session != self._session or arrival is None or arrival.done():
            sock.close()
        else:
            arrival.set_result(sock)

    async def _hear_reports(self) -> None:
        try:
            while True:
                message = await self._control.hear()
                flow = message.get("flow")
                if message["type"] == "report" and isinstance(flow, int) and flow in self._far_told:
                    report = self.reports[flow - 1]
                    report.far = Steps.from_json(message.get("steps"), self._ahead_ns)
                    if not self._far_told[flow].done():
                        self._far_told[flow].set_result(None)
                elif message["type"] == "refused":
                    raise LabError(f"{self._control.peer} refuses: {message.get('why', '')}")
        except (LabError, UsageError) as error:
            self.notes.append(str(error))
            for told in self._far_told.values():
                if not told.done():
                    told.set_result(None)


def _text(address: tuple[str, int]) -> str:
    host, port = address[0].removeprefix("::ffff:"), address[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
